from node.report import document


def test_references_are_grouped_by_series() -> None:
    items = document.references("1.2", [("1.3", "1.4", "1.5"), ("1.3", "1.4", "1.6")])

    series = items[0].ReferencedSeriesSequence
    assert len(items) == len(series) == 1
    found = [item.ReferencedSOPInstanceUID for item in series[0].ReferencedSOPSequence]
    assert found == ["1.5", "1.6"]
