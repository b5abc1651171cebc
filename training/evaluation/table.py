"""The table, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.evaluation.document import Document, Measure
from training.evaluation.statistics import Figure

NONE = "–"
ARROWS = {"lower": "↓", "higher": "↑", "as real": "≈"}


def written(figure: Figure | None, measure: Measure) -> str:
    """A figure with its interval: "0.644 (0.612 … 0.671)"."""
    if figure is None:
        return NONE
    value = f"{figure.value:.{measure.digits}f}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} ({figure.low:.{measure.digits}f} … {figure.high:.{measure.digits}f})"


def titled(measure: Measure) -> str:
    """A measure's name, its unit, and which way is good."""
    unit = f", {measure.unit}" if measure.unit else ""
    return f"{measure.title}{unit} {ARROWS[measure.better]}"


def referred(measure: Measure) -> list[str]:
    """What a measure is held against, one line each."""
    return [f"{written(one.figure, measure)} {one.what}" for one in measure.references] or [NONE]


def caption(document: Document) -> str:
    """Which pictures, which judge: one line."""
    settings = document.settings
    sizes = ", ".join(f"{count} of {size}" for size, count in settings.sizes.items())
    return (
        f"{settings.pictures} {settings.split} pictures of {document.data} ({sizes}); "
        f"judge {document.judge.name}; 95 % intervals in brackets"
    )


def print_table(document: Document, console: Console) -> None:
    table = Table(title=escape(caption(document)), title_justify="left", show_lines=False)
    table.add_column("measure")
    table.add_column("held against", style="dim")
    for model in document.models:
        table.add_column(escape(model.column), justify="right")
    for section in document.sections:
        table.add_section()
        table.add_row(f"[bold]{section.title}[/bold]")
        for measure in section.measures:
            values = (written(measure.values[model.column], measure) for model in document.models)
            table.add_row(escape(titled(measure)), "\n".join(referred(measure)), *values)
    console.print(table)
    for note in document.notes:
        console.print(f"· {note}", markup=False, highlight=False)


def markdown(document: Document) -> str:
    """The table in Markdown, as docs/model-card.md holds it."""
    columns = [model.column for model in document.models]
    lines = [
        f"{caption(document)}.",
        "",
        _row(["measure", "held against", *columns]),
        _row(["---", "---", *("---:" for _ in columns)]),
    ]
    for section in document.sections:
        lines.append(_row([f"**{section.title}**", "", *("" for _ in columns)]))
        lines += [
            _row(
                [
                    titled(measure),
                    "<br>".join(referred(measure)),
                    *(written(measure.values[column], measure) for column in columns),
                ]
            )
            for measure in section.measures
        ]
    lines += ["", *(f"- {note}" for note in document.notes)]
    lines += ["", "IoU by class:", "", _row(["class", "real", *columns])]
    lines.append(_row(["---", "---:", *("---:" for _ in columns)]))
    lines += [_row([name, *cells]) for name, cells in by_class_rows(document, "miou")]
    if document.classes_left_out:
        lines += ["", f"Too rare for the mean: {', '.join(document.classes_left_out)}."]
    return "\n".join(lines) + "\n"


def by_class_rows(document: Document, key: str) -> Sequence[tuple[str, list[str]]]:
    """A measure's figures by class: (class, [real, each model …])."""
    measure = document.measure(key)
    columns = ["real", *(model.column for model in document.models)]
    names = dict.fromkeys(name for column in columns for name in measure.detail.get(column, {}))
    return [
        (
            name,
            [
                f"{measure.detail[column][name]:.{measure.digits}f}"
                if name in measure.detail.get(column, {})
                else NONE
                for column in columns
            ],
        )
        for name in names
    ]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
