"""The evaluation of the cache in tables: the same for the screen and for the page, and all figures as JSON.

Owns the words and the rounding; refuses to count.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eval.adversarial import CategoryFigures
from eval.baselines import THRESHOLDS
from eval.cache_report import DELTAS, LEVELS, CacheReport, Setting, Start, StreamFigures
from eval.cacheability import CacheabilityReport
from eval.intervals import Share
from eval.sameness import Measurement, Row

START_LABELS: Final[dict[Start, str]] = {
    "prior": "start = prior: served from the first request on, at the shipped kappa",
    "closed": "start = closed: nothing is served until the route is certified",
}
_NARROW: Final = 10
"""Characters that a heading may always take."""
_NOTHING: Final = "–"

APPROXIMATIONS: Final = (
    "A cut in hindsight is chosen among the judgements of one replay. Another cut would have served, and so stored, "
    "other questions: that changed history is approximated by the one that was seen. The lines of fixed rules, of "
    "vCache and of the cache at its own setting are full replays and need no such approximation.",
    "The best cosine threshold is chosen with every question stored, which favours it: what it serves would not have "
    "been stored.",
    "Data sets of intents are coarser than answers. They show matching, not safety; the adversarial suites are for "
    "that.",
    "In streams an answer is a label, and equal labels are equal answers: how well real answers are compared is a "
    "measure of its own.",
    "Streams of public data switch the rules of cacheability off, so that matching alone is measured; the adversarial "
    "suites, the traps and the conversations run with them.",
    "The seeds of a stream are the same questions in other orders. Bounds over all of them treat their hits as "
    "independent and are therefore somewhat narrow.",
    "vCache bounds wrong answers per request, ours are per hit. Its formulas are those of its paper; what they leave "
    "open follows its authors' program.",
)


class Sheet(Struct, frozen=True):
    """One table. The first column names the row; `flagged` are the numbers of rows that break a promise."""

    title: str
    hint: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    flagged: frozenset[int] = frozenset()


class Chapter(Struct, frozen=True):
    title: str
    sheets: tuple[Sheet, ...]


# --- how things are written ---


def percent(value: float | None, digits: int = 1) -> str:
    return _NOTHING if value is None else f"{100 * value:.{digits}f}"


def bounded(found: Share, digits: int = 2) -> str:
    """`0.31 (0.12–0.65)`, in percent."""
    if found.value is None:
        return _NOTHING
    return f"{percent(found.value, digits)} ({percent(found.low, digits)}–{percent(found.high, digits)})"


def _budget(value: float) -> str:
    return f"{100 * value:g} %"


def as_json(report: CacheReport) -> str:
    """All figures, the verdicts first. Of a folder only the name is told."""
    figures = msgspec.to_builtins(report, enc_hook=lambda path: path.name)
    figures |= {"levels": LEVELS, "thresholds": THRESHOLDS, "deltas": DELTAS}
    return msgspec.json.format(msgspec.json.encode({"verdicts": verdicts(report), **figures}), indent=1).decode() + "\n"


def as_tables(report: CacheReport) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = [Text(line) for line in verdicts(report)]
    for chapter in chapters(report):
        parts.append(Text(f"\n{chapter.title}", style="bold"))
        parts += [as_table(sheet) for sheet in chapter.sheets]
    parts.append(Text("\nHow this is counted", style="bold"))
    parts += [Text(f"- {line}") for line in APPROXIMATIONS]
    return Lines(*parts)


def as_table(sheet: Sheet) -> RenderableType:
    """For a terminal."""
    table = Table(box=box.SIMPLE)
    for place, heading in enumerate(sheet.headings):
        is_text = heading.endswith(":")
        longest = max((len(row[place]) for row in sheet.rows), default=0)
        table.add_column(
            textwrap.fill(
                heading.removesuffix(":").replace(" %", "\u00a0%"), max(longest, _NARROW), break_long_words=False
            ),
            justify="left" if is_text or not place else "right",
            no_wrap=not is_text,
        )
    for number, row in enumerate(sheet.rows):
        table.add_row(*row, style="bold red" if number in sheet.flagged else None)
    title = Text(sheet.title, style="italic")
    return Lines(title, table, Text(sheet.hint, style="dim")) if sheet.hint else Lines(title, table)


# --- what to read first ---


def verdicts(report: CacheReport) -> list[str]:
    """The promises, each with what came of it."""
    found = []
    settings = [setting for stream in report.streams for setting in stream.settings]
    over = [setting for setting in settings if setting.is_over]
    if over:
        names = ", ".join(f"{each.stream} at {_budget(each.max_wrong)}, start = {each.start}" for each in over)
        found.append(f"Broken: more wrong hits than accepted, beyond chance, on {names}.")
    else:
        found.append(f"Kept: on none of {len(settings)} settings more wrong hits than accepted, beyond chance.")
    above = [each for each in report.pooled if each.wrong.value is not None and each.wrong.value > each.max_wrong]
    if above:
        names = ", ".join(f"{_budget(each.max_wrong)}, start = {each.start}" for each in above)
        found.append(f"Broken: pooled over the streams, wrong per hit is above the budget at {names}.")
    else:
        found.append("Kept: pooled over the streams, wrong per hit is under every budget.")
    few = [
        f"{each.stream} at {_budget(each.max_wrong)}, start = {each.start}: "
        + (f"{percent(each.of_best, 0)} %" if each.of_best is not None else "nothing served")
        for each in settings
        if each.stream in _LARGE and (each.of_best or 0.0) < _SERVED
    ]
    if few:
        found.append(f"Broken: less than {percent(_SERVED, 0)} % of the best in hindsight on {'; '.join(few)}.")
    elif any(each.stream in _LARGE for each in settings):
        found.append(f"Kept: at least {percent(_SERVED, 0)} % of the best in hindsight on {', '.join(_LARGE)}.")
    quiet = [stream.name for stream in report.streams if all(setting.is_quiet for setting in stream.settings)]
    if quiet:
        found.append(f"Left alone, since too little can be served safely: {', '.join(quiet)}.")
    for suite, figures in (
        ("adversarial pairs", report.pairs),
        ("questions beside several wordings of another", report.several),
    ):
        tricked = [
            f"{each.category} {percent(each.wrong.value, 2)} %"
            for each in figures
            if not each.is_same and each.wrong.value is not None and each.wrong.value > _TRICKED
        ]
        found.append(
            f"Broken: {suite} served wrongly in more than {_budget(_TRICKED)} of scenes: {', '.join(tricked)}."
            if tricked
            else f"Kept: no category of {suite} is served wrongly in more than {_budget(_TRICKED)} of scenes."
        )
    stale = sum(each.stale + each.stale_exact for each in report.drift if each.change.endswith("version"))
    found.append(f"{'Broken' if stale else 'Kept'}: {stale} stale hits after a new knowledge version.")
    unannounced = [each for each in report.drift if not each.change.endswith("version")]
    if unannounced:
        worst = max(unannounced, key=lambda each: each.audited_until_last)
        found.append(
            f"{'Kept' if worst.audited_until_last <= _NOTICED else 'Broken'}: when answers change unannounced, the "
            f"last stale hit comes {worst.audited_until_last} audited hit{'s'[: worst.audited_until_last != 1]} "
            f"on changed answers after the first "
            f"({worst.change}, order {worst.seed}, {worst.stale} stale in all)."
        )
    if report.conversations is not None:
        crossed = report.conversations.crossed
        found.append(f"{'Broken' if crossed else 'Kept'}: {crossed} follow-ups served from another conversation.")
    return found


_TRICKED: Final = 0.01
_NOTICED: Final = 200
_SERVED: Final = 0.8
_LARGE: Final = ("banking77", "clinc150", "bitext")
"""Streams on which the cache should serve most of what it could."""


# --- the tables ---


def chapters(report: CacheReport) -> list[Chapter]:
    found = [
        Chapter("The streams", (_streams(report),)),
        Chapter("Correct hits with the cut chosen in hindsight", tuple(_in_hindsight(report))),
        Chapter("Rules at settings of their own", (_points(report),)),
        Chapter(
            "This cache at its own setting",
            (*(_settings(report, start) for start in START_LABELS), _pooled(report)),
        ),
        Chapter("Questions that only look alike", tuple(_adversarial(report))),
        Chapter("What may be cached", tuple(_cacheability(report))),
        *((Chapter("Whether two answers say the same", tuple(_sameness(report.answers))),) if report.answers else ()),
        Chapter("The encoder", tuple(_encoder(report))),
        Chapter("When the right answers change", (_drift(report),)),
    ]
    if report.prior_changes:
        found.append(Chapter("The prior", (_prior(report),)))
    return found


def _streams(report: CacheReport) -> Sheet:
    return Sheet(
        "What was replayed",
        f"Each stream starts empty, in {report.plan.seeds} random "
        f"order{'s' if report.plan.seeds > 1 else ''}. Kappa: serve if the probability of being right is at least "
        "this; found on the other streams.",
        (
            *("Stream", "Questions", "Answers", "Same text %", "Oracle %"),
            *(f"kappa {_budget(budget)}" for budget in report.plan.budgets),
            "Prior:",
        ),
        tuple(
            (
                stream.name,
                f"{stream.requests:,}",
                f"{stream.answers:,}",
                percent(stream.exact),
                percent(stream.oracle),
                *(f"{kappa:.4f}" for kappa in stream.kappas.values()),
                f"shipped, {stream.name} in view" if stream.is_in_view else f"fitted without {stream.name}",
            )
            for stream in report.streams
        ),
    )  # fmt: skip


def _in_hindsight(report: CacheReport) -> Iterable[Sheet]:
    """For each budget a table: rules down, streams across."""
    names = [each.name for each in max((stream.chosen for stream in report.streams), key=len)]
    for place, budget in enumerate(report.plan.budgets):
        rows = []
        for name in names:
            cells = []
            for stream in report.streams:
                chosen = next((each for each in stream.chosen if each.name == name), None)
                if chosen is None:
                    cells.append(_NOTHING)
                elif report.plan.seeds > 1 and chosen.high[place] > chosen.low[place]:
                    mean, low, high = (percent(part[place]) for part in (chosen.correct, chosen.low, chosen.high))
                    cells.append(f"{mean} ({low}–{high})")
                else:
                    cells.append(percent(chosen.correct[place]))
            rows.append((name, *cells))
        for name in [each.name for each in report.streams[0].points]:
            rows.append((f"{name}, if it keeps it", *(_kept(stream, name, budget) for stream in report.streams)))
        rows.append(("same text only", *(percent(stream.exact) for stream in report.streams)))
        rows.append(("oracle", *(percent(stream.oracle) for stream in report.streams)))
        yield Sheet(
            f"Correct hits, % of requests, at no more than {_budget(budget)} wrong per hit",
            "Mean over the orders, least and most in brackets. "
            "Rules at a fixed setting stand here only where they kept the level.",
            ("Rule", *(stream.name for stream in report.streams)),
            tuple(rows),
        )


def _kept(stream: StreamFigures, name: str, budget: float) -> str:
    point = next(each for each in stream.points if each.name == name)
    return percent(point.correct) if (point.wrong.value or 0.0) <= budget else _NOTHING


def _points(report: CacheReport) -> Sheet:
    return Sheet(
        "Fixed thresholds and vCache",
        "Full replays, mean over the orders. In brackets: 95 % bounds after Clopper and Pearson.",
        ("Stream, rule", "Hits %", "Correct %", "Wrong per hit %"),
        tuple(
            (f"{stream.name}, {point.name}", percent(point.hits), percent(point.correct), bounded(point.wrong))
            for stream in report.streams
            for point in stream.points
        ),
    )


_SETTING_HEADINGS: Final = (
    "Hits %", "Correct %", "Wrong", "Wrong per hit % (95 % bounds)", "Bound below %", "Best in hindsight %",
    "Of that %", "Audited", "Last kappa:", "State:",
)  # fmt: skip


def _settings(report: CacheReport, start: Start) -> Sheet:
    settings = [each for stream in report.streams for each in stream.settings if each.start == start]
    hint = (
        "Of that: correct hits as a share of the best in hindsight"
        + (", from the first semantic hit on; the requests before it label themselves. " if start == "closed" else ". ")
        + "Bound below: one-sided 95 %; a row above its budget is marked."
    )
    headings = ("Stream, accepted", *(("Learning:",) if start == "closed" else ()), *_SETTING_HEADINGS)
    return Sheet(
        START_LABELS[start],
        hint,
        headings,
        tuple(
            (
                f"{each.stream}, {_budget(each.max_wrong)}",
                *((_learning(each),) if start == "closed" else ()),
                *_setting(each),
            )
            for each in settings
        ),
        frozenset(number for number, each in enumerate(settings) if each.is_over),
    )


def _setting(each: Setting) -> tuple[str, ...]:
    return (
        percent(each.hit_share),
        percent(each.correct_share),
        f"{each.wrong.successes:,}",
        bounded(each.wrong),
        percent(each.lowest, 2),
        percent(each.best),
        percent(each.of_best, 0),
        f"{each.audited:,}",
        _joined(_NOTHING if kappa is None else f"{kappa:.4f}" for kappa in each.kappas),
        _joined(each.states) + (f", {each.faults} fault{'s'[: each.faults > 1]}" if each.faults else ""),
    )


def _learning(each: Setting) -> str:
    return _joined("never" if count is None else f"{count:,}" for count in each.learning)


def _joined(values: Iterable[str]) -> str:
    """Equal ones once."""
    return " / ".join(dict.fromkeys(values))


def _pooled(report: CacheReport) -> Sheet:
    over = frozenset(
        number
        for number, each in enumerate(report.pooled)
        if each.wrong.value is not None and each.wrong.value > each.max_wrong
    )
    return Sheet(
        "All streams together",
        "Each request counts the same, so that long streams weigh more.",
        ("Start, accepted", *_SETTING_HEADINGS[:-2]),
        tuple((f"{each.start}, {_budget(each.max_wrong)}", *_setting(each)[:-2]) for each in report.pooled),
        over,
    )


def _adversarial(report: CacheReport) -> Iterable[Sheet]:
    about = "Each pair in both directions: one question stored, the other asked"
    yield _categories(
        "Adversarial pairs, test half, in sparse scopes",
        f"{about}, beside 0, 2, 8 and 30 other questions; shipped prior, kappa {report.pairs_kappa:.4f}. "
        "Kept out: the rules of cacheability spoke first. "
        "Bounds belong on questions: the scenes of one question are not independent.",
        report.pairs,
    )
    yield _categories(
        "Questions beside several wordings of another, test part",
        f"Three wordings stored, beside 0, 2, 8 and 30 other questions; shipped prior, kappa {report.pairs_kappa:.4f}.",
        report.several,
    )
    view = ", with the FAQ in view" if report.are_traps_in_view else ", fitted without the FAQ"
    yield _categories(
        "Traps of the FAQ in sparse scopes",
        f"The question that a trap resembles is stored, the trap is asked; kappa {report.traps_kappa:.4f}{view}.",
        report.traps,
    )
    yield _categories(
        "Traps of the FAQ beside the whole FAQ",
        "All questions and paraphrases have been asked, then the trap.",
        report.traps_in_full,
    )
    examples = [
        (name, stored, asked)
        for name, categories in (
            ("pair", report.pairs),
            ("several wordings", report.several),
            ("trap", report.traps),
            ("trap, whole FAQ", report.traps_in_full),
        )
        for category in categories
        if not category.is_same
        for stored, asked in category.examples
    ]
    if examples:
        yield Sheet(
            "Served wrongly, at least once", "For a trap beside the whole FAQ another question may have served it.",
            ("Suite", "Stored:", "Asked:"), tuple(examples),
        )  # fmt: skip


def _categories(title: str, hint: str, categories: Sequence[CategoryFigures]) -> Sheet:
    contexts = [others for others, _, _ in categories[0].wrong_by_context] if categories else []
    return Sheet(
        title,
        hint,
        (
            "Category",
            "Questions",
            "Scenes",
            "Kept out %",
            "Served wrongly, scenes %",
            "Served wrongly, questions % (95 % bounds)",
            *(f"beside {others}" for others in contexts),
            "Served rightly, scenes %",
        ),
        tuple(
            (
                each.category,
                str(each.directed),
                f"{each.scenes:,}",
                percent(each.kept_out / each.scenes),
                percent(each.wrong.value, 2),
                bounded(each.any_wrong),
                *(str(wrong) for _, _, wrong in each.wrong_by_context),
                percent(each.right.value) if each.is_same else _NOTHING,
            )
            for each in categories
        ),
        frozenset(
            number
            for number, each in enumerate(categories)
            if not each.is_same and each.wrong.value is not None and each.wrong.value > _TRICKED
        ),
    )


def _cacheability(report: CacheReport) -> Iterable[Sheet]:
    yield _classes(f"Cacheability, {report.cacheability.prompts} prompts of the test half", report.cacheability)
    others = report.cacheability_of_others
    yield _classes(f"Cacheability, {others.prompts} prompts by writers who had not seen the rules", others)
    if report.follow_ups is not None:
        yield Sheet(
            "Follow-ups of TREC CAsT, by wording alone",
            f"With their own earlier turns {report.follow_ups.semantic_in_context} of {report.follow_ups.follow_ups:,} "
            f"are looked up semantically, and {report.follow_ups.crossings} have the scope of a conversation that "
            "went otherwise.",
            ("Sent as a first turn", "Texts", "Looked up semantically %"),
            tuple((row.kind, str(row.semantic.trials), bounded(row.semantic, 1)) for row in report.follow_ups.bare),
        )
    if report.conversations is not None:
        each = report.conversations
        yield Sheet(
            "Conversations of TREC CAsT, replayed",
            "Every turn with its own history, then every follow-up that needs its history, alone.",
            (
                "Conversations", "Turns", "Follow-ups", "Answered semantically", "From another conversation",
                "Asked alone", "Served alone",
            ),
            (
                (
                    f"{each.conversations:,}", f"{each.turns:,}", f"{each.follow_ups:,}", str(each.semantic),
                    str(each.crossed), f"{each.bare:,}", str(each.bare_crossed),
                ),
            ),
            frozenset({0}) if each.crossed else frozenset(),
        )  # fmt: skip


def _classes(title: str, found: CacheabilityReport) -> Sheet:
    return Sheet(
        title,
        "Right level: semantic for cacheable, none for personal, not semantic for the others.",
        ("Class", "Prompts", "Precision %", "Recall %", "Right level %"),
        tuple(
            (
                row.label,
                str(row.recall.trials),
                bounded(row.precision, 1),
                bounded(row.recall, 1),
                bounded(row.handled, 1),
            )
            for row in found.classes
            if row.recall.trials
        ),
    )


def _sameness(measured: Mapping[str, Measurement]) -> Iterable[Sheet]:
    headings = ("Pairs", "Number", "Linked %", "Audit: same %", "Audit: different %", "Audit: unclear %")
    for name, found in measured.items():
        about = "Pairs of one family share texts: the bounds are narrow."
        yield Sheet(
            f"Answers of the test half, {name}, by sort of pair", about, headings, _pairs_of_answers(found.rows)
        )
        if found.kinds:
            yield Sheet(f"Different answers, {name}, by what differs", "", headings, _pairs_of_answers(found.kinds))
    yield Sheet(
        "Links, half of the pairs reworded and half of them different",
        "An answer is compared with one other, or with several wordings of one. Bounds over pairs, and by resampling "
        "families.",
        ("Answers, against", "Precision %", "by family", "Recall %", "by family"),
        tuple(
            (
                f"{name}, {each.against}",
                bounded(each.precision, 1),
                _between(each.precision_by_family),
                bounded(each.recall, 1),
                _between(each.recall_by_family),
            )
            for name, found in measured.items()
            for each in found.links
        ),
    )


def _between(bounds: tuple[float, float]) -> str:
    return f"{percent(bounds[0])} to {percent(bounds[1])}"


def _pairs_of_answers(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            row.name,
            f"{row.linked.trials:,}",
            *(bounded(each, 1) for each in (row.linked, row.same, row.different, row.unclear)),
        )
        for row in rows
    )


def _encoder(report: CacheReport) -> Iterable[Sheet]:
    if report.precision is not None:
        each = report.precision
        yield Sheet(
            f"Eight bits against full precision, {each.stream}",
            f"Cosine between the two vectors of one text, {each.texts:,} texts: mean {each.mean_cosine:.4f}, "
            f"least {each.min_cosine:.4f}. Every question stored, one order, cut in hindsight.",
            ("Rule, wrong per hit", "Correct, int8 %", "Correct, fp32 %"),
            tuple(
                (f"{rule}, {level}", percent(eight), percent(thirty_two))
                for rule, level, eight, thirty_two in each.correct
            ),
        )
    same = report.determinism
    yield Sheet(
        "The same text alone and beside others",
        "",
        ("Texts", "Least cosine", "Equal to the bit"),
        ((str(same.texts), f"{same.min_cosine:.6f}", str(same.equal)),),
    )


def _drift(report: CacheReport) -> Sheet:
    return Sheet(
        f"Answers change in the middle of {report.drift_stream}",
        "Start = prior, 1 % accepted. Stale: a semantic hit with an old answer. Closed: the route serves nothing "
        "until new evidence is there. Repetitions of an old text have no audits; only time, a purge or a new "
        "knowledge version ends them.",
        (
            "Change, order", "Hits before", "Audited until closed", "Stale until closed",
            "Audited from the first stale to the last", "Of other answers meanwhile", "Stale in all",
            "Stale, last tenth", "Stale, same text", "Right hits again",
        ),
        tuple(
            (
                f"{each.change}, {each.seed}",
                f"{each.hits_before:,}",
                _NOTHING if each.audited_until_closed is None else str(each.audited_until_closed),
                str(each.stale_until_closed),
                str(each.audited_until_last),
                str(each.others_audited),
                str(each.stale),
                str(each.stale_last_tenth),
                str(each.stale_exact),
                f"{each.served_again:,}",
            )
            for each in report.drift
        ),
        frozenset(
            number
            for number, each in enumerate(report.drift)
            if each.change.endswith("version") and each.stale + each.stale_exact
        ),
    )  # fmt: skip


def _prior(report: CacheReport) -> Sheet:
    return Sheet(
        "The shipped prior against one fitted now on all streams",
        f"Fitted on {', '.join(report.fitted_on)}. Written into the package by --fit only.",
        ("Figure", "Shipped", "Fitted now"),
        tuple((what, f"{before:.4f}", f"{after:.4f}") for what, before, after in report.prior_changes),
    )
