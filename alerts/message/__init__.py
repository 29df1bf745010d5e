"""Actions and incidents in, neutral messages out: what happened, how much, why, and what to do.

`render` makes the message of an action: the whole card when an incident opens, a short reply for
its thread afterwards. `render_card` makes the card as it stands now, which replaces the first
message of the thread on every action. Text is plain: no markup, nothing escaped; each sink does that.
"""

from alerts.message.cards import SEVERITY_MARKS, make_card_key, make_key, render, render_card, render_click, render_test
from alerts.message.context import BudgetView, RenderContext
from alerts.message.digest import DigestFacts, DigestFeature, render_digest
from alerts.message.reproduce import make_sql
from alerts.message.stored import message_from_json, message_to_json

__all__ = [
    "SEVERITY_MARKS",
    "BudgetView",
    "DigestFacts",
    "DigestFeature",
    "RenderContext",
    "make_card_key",
    "make_key",
    "make_sql",
    "message_from_json",
    "message_to_json",
    "render",
    "render_card",
    "render_click",
    "render_digest",
    "render_test",
]
