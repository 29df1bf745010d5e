"""A Message as Slack Block Kit: within Slack's limits by construction, text from outside harmless.

Limits: https://docs.slack.dev/reference/block-kit/blocks and /composition-objects.
Every text that can come from a bill, a tag or features.yml passes `escape`: it can mention nobody,
link nowhere and format nothing. The one exception is an owner that is a Slack id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alerts.figures import fit, format_day
from alerts.model import Fact, Message

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FIELDS = 10
MAX_FIELD = 2000
MAX_CONTEXT_ELEMENTS = 10
MAX_ALT_TEXT = 2000
MAX_FALLBACK = 3000  # Slack cuts at 40,000; a notification shows far less

Block = dict[str, Any]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Look-alikes for the characters that mrkdwn gives a meaning at the edge of a word.
_LOOKALIKES = {"*": "∗", "_": "ˍ", "~": "∼", "`": "ˋ"}
_WORD_JOINER = "\u2060"
# Control characters and line separators; and what nobody sees: marks of direction, zero widths, soft hyphens, tags.
_CONTROL = re.compile(r"[\u0000-\u001f\u007f-\u009f\u2028\u2029]+")
_UNSEEN = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
_MARK = re.compile(r"(?<![^\W_])[*_~`]+|[*_~`]+(?![^\W_])|[*~`]+")
_SHORTCODE = re.compile(r":(?=[\w+'-]+:)")
_COMMAND = re.compile(r"ˋ(trendbreak [\w ./:-]{1,120})ˋ")
_ADDRESS = re.compile(r"https://[^\s<>|\"]{1,1500}")
# Slack's ids have a digit; a handle in capitals has none.
_SLACK_USER = re.compile(r"@?([UW](?=[A-Z]*[0-9])[A-Z0-9]{5,20})")
_SLACK_GROUP = re.compile(r"@?(S(?=[A-Z]*[0-9])[A-Z0-9]{5,20})")

# Answers of alerts.incidents.record_click; the action ids of the buttons are made of them.
ANSWERS: Mapping[str, str] = {
    "expected": "Expected",
    "investigating": "Investigating",
    "false_alarm": "False alarm",
}
SNOOZE_DAYS: Mapping[str, int] = {"1 day": 1, "1 week": 7}
ACTION_PREFIX = "trendbreak_"
_ANSWERABLE = frozenset({"open", "escalated", "acknowledged", "snoozed"})


def escape(text: str) -> str:
    """Plain text as mrkdwn that shows exactly it: no mention, link, emoji code or formatting."""
    return "".join(_escape_pieces(text))


def _escape_pieces(text: str) -> Iterable[str]:
    plain = _neutralise(text).strip()
    return (_ENTITIES.get(character, character) for character in plain)


def _neutralise(text: str) -> str:
    """Control and direction characters out, marks at the edge of words and emoji codes disarmed."""
    plain = _readable(text)
    plain = _MARK.sub(lambda match: "".join(_LOOKALIKES[mark] for mark in match.group()), plain)
    return _SHORTCODE.sub(":" + _WORD_JOINER, plain)


def _readable(text: str) -> str:
    return _CONTROL.sub(" ", _UNSEEN.sub("", text))


def escape_within(text: str, limit: int) -> str:
    """`escape`, cut with an ellipsis so that the escaped text has at most `limit` characters."""
    pieces = list(_escape_pieces(text)) or ["–"]  # Slack takes no empty text
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept: list[str] = []
    room = limit - 1
    for piece in pieces:
        if len(piece) > room:
            break
        kept.append(piece)
        room -= len(piece)
    return "".join(kept).rstrip() + "…"


def mention(owner: str) -> str:
    """`<@U…>` or `<!subteam^S…>` for a Slack id, the escaped text for anything else."""
    if match := _SLACK_USER.fullmatch(owner.strip()):
        return f"<@{match.group(1)}>"
    if match := _SLACK_GROUP.fullmatch(owner.strip()):
        return f"<!subteam^{match.group(1)}>"
    return escape_within(owner, 200)


def to_text(message: Message) -> str:
    """The fallback text: notifications, screen readers, clients without blocks."""
    return escape_within(f"{message.title}. {message.summary}", MAX_FALLBACK)


def to_blocks(message: Message, *, interactive: bool = False, chart: Mapping[str, str] | None = None) -> list[Block]:
    """Block Kit of a message.

    `interactive`: with the buttons (only where somebody listens to them). `chart`: how Slack finds the
    picture, `{"id": file id}` of an uploaded file; None: no picture.
    """
    blocks = [_header(message.title), _section(_with_commands(message.summary, MAX_SECTION))]
    if message.cure.strip():
        blocks.append(_section(f"*What to do:* {_with_commands(message.cure, MAX_SECTION - 100)}"))
    if fields := _fields(message):
        blocks.append({"type": "section", "fields": fields})
    if message.why:
        blocks.append(_list("Why", message.why))
    if message.where:
        blocks.append(_list("Where", message.where))
    if message.changes:
        title = f"What changed on {format_day(message.onset, today=message.onset)}" if message.onset else "What changed"
        blocks.append(_list(title, message.changes))
    blocks.extend(_list(section.title, section.lines) for section in message.sections[:20] if section.lines)
    if links := _links(message):
        blocks.append(links)
    if chart is not None:
        blocks.append(
            {"type": "image", "slack_file": dict(chart), "alt_text": fit(_readable(_alt_text(message)), MAX_ALT_TEXT)}
        )
    if message.sql.strip():
        blocks.append(_context([_reader_note(message)]))
        blocks.append(_preformatted(message.sql))
    if message.footnotes:
        blocks.append(_context(message.footnotes))
    if interactive and message.action == "open" and message.status in _ANSWERABLE and not message.sections:
        blocks.append(_answers(message))
    return blocks[:MAX_BLOCKS]


def _mrkdwn(text: str) -> dict[str, Any]:
    # verbatim: Slack makes no links of its own out of plain addresses and channel names.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _header(title: str) -> Block:
    # Plain text, in which Slack reads no mrkdwn; brackets are replaced, so that it never reads a mention either.
    plain = _SHORTCODE.sub(":" + _WORD_JOINER, _readable(title)).replace("<", "‹").replace(">", "›").strip() or "–"
    return {"type": "header", "text": {"type": "plain_text", "text": fit(plain, MAX_HEADER), "emoji": True}}


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _fields(message: Message) -> list[dict[str, Any]]:
    fields = [
        _mrkdwn(f"*{escape_within(fact.label, 100)}*\n{escape_within(fact.text, MAX_FIELD - 200)}")
        for fact in _choose_facts(message.facts, MAX_FIELDS - bool(message.owner.strip()))
    ]
    if message.owner.strip():
        fields.append(_mrkdwn(f"*Owner*\n{mention(message.owner)}"))
    return fields


def _choose_facts(facts: Sequence[Fact], limit: int) -> Sequence[Fact]:
    """The first facts, and always the last one: it says through which day the data reach."""
    return facts if len(facts) <= limit else [*facts[: limit - 1], facts[-1]]


def _list(title: str, lines: Sequence[str]) -> Block:
    text = f"*{escape_within(title, 100)}*"
    for line in lines:
        item = f"\n• {escape_within(line, 400)}"
        if len(text) + len(item) > MAX_SECTION - 2:
            text += "\n…"
            break
        text += item
    return _section(text)


def _preformatted(text: str) -> Block:
    # In rich text nothing is parsed, so that the query can be copied as it is.
    element = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": fit(text, MAX_SECTION)}]}
    return {"type": "rich_text", "elements": [element]}


def _context(lines: Sequence[str]) -> Block:
    shown = lines[:MAX_CONTEXT_ELEMENTS]
    return {"type": "context", "elements": [_mrkdwn(_with_commands(line, MAX_SECTION - 200)) for line in shown]}


def _with_commands(text: str, limit: int) -> str:
    """`escape_within`, but what looks like a command of ours in backticks keeps them: it is shown as code, and code is
    all that such a text from outside could become."""
    escaped = escape_within(text, limit)
    return _COMMAND.sub(r"`\1`", escaped)


def _reader_note(message: Message) -> str:
    more = f"; `trendbreak explain --incident {message.incident_id}` tells more" if _is_explained(message) else ""
    return f"To see the days yourself, with `trendbreak query` or any reader of the snapshot{more}:"


def _is_explained(message: Message) -> bool:
    return message.kind in ("cost", "unit_cost", "zero_success", "usage", "budget")


def _alt_text(message: Message) -> str:
    return f"Chart of the last 90 days with the expected range. {message.summary}"


def _links(message: Message) -> Block | None:
    """Links from our own address templates: only https, nothing in them that could end the link early."""
    shown = [
        f"<{address}|{escape_within(text, 150).replace('|', '∣')}>"
        for text, address in message.links[:10]
        if _ADDRESS.fullmatch(address)
    ]
    return _section("*Look at*\n" + "\n".join(f"• {link}" for link in shown)) if shown else None


def _answers(message: Message) -> Block:
    elements: list[dict[str, Any]] = [
        {
            "type": "button",
            "action_id": f"{ACTION_PREFIX}{answer}",
            "text": {"type": "plain_text", "text": label, "emoji": True},
            "value": message.incident_id,
        }
        for answer, label in ANSWERS.items()
        if not (answer == "investigating" and message.status == "acknowledged")
    ]
    options = [
        {"text": {"type": "plain_text", "text": label, "emoji": True}, "value": str(days)}
        for label, days in SNOOZE_DAYS.items()
    ]
    elements += [
        {
            "type": "static_select",
            "action_id": f"{ACTION_PREFIX}snooze",
            "placeholder": {"type": "plain_text", "text": "Snooze", "emoji": True},
            "options": options,
        },
        {
            "type": "datepicker",
            "action_id": f"{ACTION_PREFIX}snooze_until",
            "placeholder": {"type": "plain_text", "text": "Snooze until", "emoji": True},
        },
    ]
    # Slack keeps what was chosen in a block of the same id; a card that changed begins afresh.
    state = hashlib.sha256(f"{message.title}|{message.summary}".encode()).hexdigest()[:8]
    return {"type": "actions", "block_id": f"{ACTION_PREFIX}{message.incident_id}_{state}", "elements": elements}
