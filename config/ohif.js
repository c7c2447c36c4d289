// app-config.js of an OHIF 3.13 that shows an archive with DICOMweb on its own origin:
// one web server gives out OHIF's files and passes /dicom-web/ on to the archive.
window.config = {
  name: 'mammonode',
  routerBasename: null,
  extensions: [],
  modes: [],
  customizationService: {
    // Without OT, Modality of heat maps and summary page: they are not to be played as a film.
    autoCineModalities: { $set: ['US'] },
  },
  showStudyList: true,
  defaultDataSourceName: 'archive',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'archive',
      configuration: {
        friendlyName: 'Archive',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        // What Orthanc 1.10 does and does not do.
        qidoSupportsIncludeField: false,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
