"""Live figures as one HTML page: its style and plots are inside, and it loads nothing."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.performance.figures import Confusion, LevelFigures, LevelName, Performance, Slice
from node.performance.measure import LEAST
from node.performance.plots import COLOUR_OF, calibration_plot, roc_plot, time_plot
from node.performance.words import FIGURES, interval_words, verification_words
from node.whole_file import make_folder, write_whole

_STYLE = """
body { margin: 0; background: #fff; color: #1f2933; font: 16px/1.5 "Helvetica Neue", Helvetica,
  Arial, "Liberation Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: .8rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 1px solid #d9dee4; }
p { max-width: 48rem; margin: .5rem 0; }
.soft, figcaption { color: #52606d; }
.notice { display: inline-block; margin: 0; padding: .2rem .8rem; border: 1px solid #97266d;
  border-radius: 1rem; color: #97266d; font-size: .85rem; font-weight: 600; }
.cautions { margin: 1.4rem 0; padding: .7rem 1.1rem; background: #fff6e5;
  border-left: 4px solid #b7791f; }
.cautions p { max-width: none; margin: .35rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: 1rem;
  margin: 1.4rem 0; }
.cards div { border: 1px solid #d9dee4; border-top: 4px solid var(--edge); padding: .7rem 1rem; }
.cards span { display: block; color: #52606d; font-size: .87rem; }
.cards b { display: block; font-size: 2rem; line-height: 1.25; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .38rem .7rem .38rem 0; border-bottom: 1px solid #d9dee4;
  vertical-align: baseline; }
thead th { color: #52606d; font-size: .85rem; }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; padding-right: 1.6rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(23rem, 1fr)); gap: 1.6rem; }
figure { margin: 0 0 1rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .87rem; margin-top: .3rem; }
.matrices { display: flex; flex-wrap: wrap; gap: 1.2rem 4rem; }
.matrices table { width: auto; }
.matrices td, .matrices th { border: 0; padding: .45rem .9rem; }
.matrices td { text-align: right; min-width: 4.5rem; border: 2px solid #fff; }
.right { background: #e3efe7; } .wrong { background: #f9e4e4; }
@media (max-width: 30rem) { .plots { grid-template-columns: 1fr; } }
@media print { figure, table, .cards div { break-inside: avoid; } }
"""


def write_page(performance: Performance, file: Path) -> None:
    """Write the page.

    Parameters
    ----------
    performance
        What was measured.
    file
        Is replaced, whole or not at all; its folder is made.

    Raises
    ------
    NodeError
        If it cannot be written.
    """
    make_folder(file.absolute().parent)
    write_whole(file, html_page(performance).encode())


def html_page(performance: Performance) -> str:
    """Give the page: HTML with everything inside."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>mammonode: live performance</title><style>{_STYLE}</style></head><body><main>",
        f'<p class="notice">{NOT_FOR_DIAGNOSTIC_USE}</p>',
        "<h1>Live performance</h1>",
        f'<p class="soft">{escape(verification_words(performance))}',
        f" As of {performance.made_at.astimezone():%Y-%m-%d %H:%M}.</p>",
    ]
    if performance.cautions:
        cautions = "".join(f"<p>{escape(caution)}</p>" for caution in performance.cautions)
        parts.append(f'<div class="cautions" role="note">{cautions}</div>')
    if performance.verification.known:
        parts += _figures(performance)
    parts += _reading(performance)
    return "".join([*parts, "</main></body></html>\n"])


def _figures(performance: Performance) -> Iterator[str]:
    breast, study = (performance.level(name) for name in (LevelName.BREAST, LevelName.STUDY))
    yield '<div class="cards">'
    for level in (breast, study):
        yield _card(f"AUC by {level.level}", level, 0)
    yield _card("sensitivity by study", study, 1)
    yield _card("specificity by study", study, 2)
    yield "</div><h2>Figures</h2>"
    yield _levels_table(breast, study)
    yield "<h2>At the operating point</h2>" + '<div class="matrices">'
    yield _matrix(breast) + _matrix(study) + "</div>"
    yield "<h2>Curves</h2>" + '<div class="plots">'
    yield _figure(
        roc_plot((breast, study)),
        "ROC. The points are the operating point with its intervals. Dashed: chance.",
    )
    yield _figure(
        calibration_plot(breast),
        "Calibration by breast, over ten bins of about equal numbers. On the dashed line, scores "
        "are what they say"
        + (
            "; they hold at the prevalence of the weights' calibration."
            if performance.prevalence is None
            else f", at the prevalence {performance.prevalence:g} of this site."
        ),
    )
    yield "</div><h2>Over time, by study</h2>"
    for figure in FIGURES[:3]:
        yield _figure(time_plot(performance.by_month, figure, figure.of(study)), "")
    yield (
        '<p class="soft">Bars: 95 % intervals. Dashed: all months together. Hollow: too recent for '
        "follow-up, so that only biopsies speak.</p>"
    )
    for title, slices in (
        ("Month", performance.by_month),
        ("AE title", performance.by_ae_title),
        ("Model version", performance.by_model_version),
    ):
        yield f"<h2>{title}</h2>"
        yield _slices_table(title, slices)


def _card(title: str, level: LevelFigures, place: int) -> str:
    found = FIGURES[place].of(level)
    value = "–" if found is None else f"{found.value:.3f}"
    ends = "too few" if found is None else f"{found.low:.3f} to {found.high:.3f}"
    return (
        f'<div style="--edge: {COLOUR_OF[level.level]}"><span>{title}</span><b>{value}</b>'
        f"<span>{ends}</span></div>"
    )


def _levels_table(*levels: LevelFigures) -> str:
    rows = [
        ("known outcome", [f"{level.rows:,}" for level in levels]),
        ("cancers", [f"{level.cancers:,}" for level in levels]),
        ("patients", [f"{level.patients:,}" for level in levels]),
        *((figure.title, [figure.words(level) for level in levels]) for figure in FIGURES),
    ]
    told = [level.calibration for level in levels]
    rows += [
        ("mean score", ["–" if one is None else f"{one.expected:.4f}" for one in told]),
        (
            "share of cancers",
            [interval_words(one.observed if one else None, decimals=4) for one in told],
        ),
        (
            "expected calibration error",
            ["–" if one is None else f"{one.error:.4f}" for one in told],
        ),
    ]
    return _table(["", *(f"by {level.level}" for level in levels)], rows)


def _slices_table(title: str, slices: Sequence[Slice]) -> str:
    rows = []
    for one in slices:
        level = one.level(LevelName.STUDY)
        name = f"{one.value or 'unknown'}{' *' if one.is_too_recent else ''}"
        counts = [f"{count:,}" for count in (one.studies, level.rows, level.cancers)]
        rows.append((name, counts + [figure.words(level) for figure in FIGURES[:4]]))
    headings = [title, "studies", "known", "cancers", *(figure.title for figure in FIGURES[:4])]
    return _table(headings, rows)


def _table(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _matrix(level: LevelFigures) -> str:
    counts: Confusion = level.confusion
    return (
        f"<figure><table><thead><tr><th></th><th>called</th><th>not called</th></tr></thead><tbody>"
        f'<tr><th>cancer</th><td class="right">{counts.true_positives:,}</td>'
        f'<td class="wrong">{counts.false_negatives:,}</td></tr>'
        f'<tr><th>no cancer</th><td class="wrong">{counts.false_positives:,}</td>'
        f'<td class="right">{counts.true_negatives:,}</td></tr></tbody></table>'
        f"<figcaption>By {level.level}. Called: score at or above the operating point.</figcaption>"
        "</figure>"
    )


def _figure(svg: str, caption: str) -> str:
    if not svg:
        return ""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{words}</figure>"


def _reading(performance: Performance) -> Iterator[str]:
    found = performance.verification
    yield "<h2>How to read this</h2>"
    yield (
        f"<p>A breast had cancer if histopathology within {performance.diagnosis_within_days} days "
        "after the study said so. It had none if histopathology in that time was benign, or, "
        f"without histopathology, a follow-up {performance.negative_after_days} days or more after "
        "the study found none. A study had cancer if a breast had, and none if that is known of "
        "every breast that has a score.</p>"
    )
    yield (
        f"<p>Of {found.studies:,} analysed studies {found.known:,} have a known outcome, "
        f"{found.partly:,} of one breast alone, {found.in_conflict:,} one that contradicts itself, "
        f"and {found.without:,} none yet. Of the {found.called:,} at or above the operating point "
        f"{found.called_known:,} are known.</p>"
    )
    yield (
        "<p>Intervals are of 95 %: DeLong's for the AUC and Wilson's for shares, both with the "
        "rows of one patient taken as alike. A dash: fewer than "
        f"{LEAST} rows of a sort. PPV and NPV hang on the share of cancers among those whose "
        "outcome is known.</p>"
    )
    yield f"<p><b>{NOT_FOR_DIAGNOSTIC_USE}</b> A low score does not mean benign.</p>"
