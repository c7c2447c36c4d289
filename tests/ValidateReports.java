import com.pixelmed.validate.DicomSRValidator;

/** PixelMed's validator over many files in one virtual machine: its own main takes one. */
public class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        validator.setOptionMatchCaseOfCodeMeaning(true);
        validator.setOptionCheckTemplateID(true);
        validator.setOptionCheckContentItemOrder(true);
        for (String path : paths) {
            System.out.println("File: " + path);
            System.out.println(validator.validate(path));
        }
    }
}
