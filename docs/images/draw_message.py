"""Draw the README's picture of an alert from what the demo would post: real blocks, real chart.

    make demo && .venv/bin/python docs/images/draw_message.py demo/seed-7 email-drafts

Needs Chromium or Chrome on PATH. Blocks that this page does not know stop it: the picture shows all of a message.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

WIDTH = 760
TARGET = Path(__file__).with_name("slack-message.png")
STYLE = """
body { margin: 0; background: #fff; font: 15px/1.46 Lato, "Helvetica Neue", Helvetica, Arial, sans-serif;
  color: #1d1c1d; width: 720px; padding: 18px 20px 16px; }
.message { display: grid; grid-template-columns: 44px 1fr; gap: 0 10px; }
.avatar { width: 40px; height: 40px; border-radius: 8px; background: #14304f; display: grid; place-items: center; }
.who b { font-weight: 900; } .who span { color: #616061; font-size: 12px; margin-left: 6px; }
.who i { font-style: normal; background: #e8e8e8; color: #454447; font-size: 10px; font-weight: 700; padding: 1px 4px;
  border-radius: 2px; margin-left: 5px; }
h1 { font-size: 18px; font-weight: 900; margin: 8px 0 4px; }
p { margin: 6px 0; } .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin: 10px 0; }
h1 i { display: inline-block; width: 15px; height: 15px; border-radius: 50%; margin-right: 5px; vertical-align: -1px; }
.context { color: #616061; font-size: 13px; margin-top: 10px; }
pre { background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 6px 0;
  font: 12px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre-wrap; }
code { font: 12px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace; color: #c01343; background: #f8f8f8;
  border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }
.buttons { display: flex; gap: 8px; margin: 12px 0 4px; flex-wrap: wrap; }
.buttons span { border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; font-weight: 700; font-size: 14px; }
img { width: 480px; border: 1px solid #ddd; border-radius: 8px; margin-top: 8px; display: block; }
"""


# Not every machine has a font with these.
CIRCLES = {"🔴": "#dd2e44", "🟠": "#f4900c", "🟡": "#fdcb58", "🟢": "#78b159", "🔵": "#55acee", "⚪": "#ccd6dd"}


def header(text: str) -> str:
    """The title, with its coloured circle drawn."""
    colour = CIRCLES.get(text[:1])
    circle = f'<i style="background: {colour}"></i>' if colour else ""
    return f"<h1>{circle}{html.escape(text[1:].strip() if colour else text)}</h1>"


def mrkdwn(text: str) -> str:
    """Slack's own markup, as far as our messages use it."""
    shown = html.escape(html.unescape(text), quote=False)
    shown = re.sub(r"(?m)(^|\s)\*([^*\n]+)\*", r"\1<b>\2</b>", shown)
    shown = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", shown)
    return shown.replace("\n", "<br>")


def block_html(block: dict[str, Any]) -> str:
    """One block of a message. Raises KeyError for a type that is not drawn."""

    def section() -> str:
        text = f"<p>{mrkdwn(block['text']['text'])}</p>" if "text" in block else ""
        fields = "".join(f"<div>{mrkdwn(field['text'])}</div>" for field in block.get("fields", ()))
        return text + (f'<div class="fields">{fields}</div>' if fields else "")

    draw = {
        "header": lambda: header(block["text"]["text"]),
        "section": section,
        "context": lambda: f'<p class="context">{" ".join(mrkdwn(one["text"]) for one in block["elements"])}</p>',
        "divider": lambda: "<hr>",
        "rich_text": lambda: "".join(
            f"<pre>{html.escape(''.join(part['text'] for part in element['elements']))}</pre>"
            for element in block["elements"]
        ),
        "actions": lambda: (
            '<div class="buttons">'
            + "".join(
                f"<span>{html.escape((element.get('text') or element['placeholder'])['text'])}</span>"
                for element in block["elements"]
            )
            + "</div>"
        ),
    }
    return draw[block["type"]]()


def page(blocks: list[dict[str, Any]], chart: bytes) -> str:
    """The message as Slack shows it, with its chart where Slack has it: before the query."""
    place = next((n for n, block in enumerate(blocks) if block["type"] == "context"), len(blocks))
    picture = f'<img src="data:image/png;base64,{base64.b64encode(chart).decode()}">'
    bars = (
        '<svg width="24" height="24" viewBox="0 0 24 24"><path d="M2 16h6l3-3 3 2 8-12" fill="none" stroke="#ff6b57" '
    )
    return (
        f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><div class=message>"
        f'<div class=avatar>{bars}stroke-width="3" stroke-linecap="round"/></svg></div><div>'
        "<div class=who><b>Trendbreak</b><i>APP</i><span>9:31</span></div>"
        + "".join(block_html(block) for block in blocks[:place])
        + picture
        + "".join(block_html(block) for block in blocks[place:])
        + "</div></div>"
    )


def screenshot(content: str) -> bytes:
    """The page as a PNG, at twice the pixels."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)
    if browser_path is None:
        raise SystemExit("no Chromium on PATH — install chromium, or Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 400}, device_scale_factor=2)
        tab.set_content(content)
        taken = tab.screenshot(full_page=True)
        browser.close()
    return taken


def main() -> None:
    """Draw one message of a demo's outbox."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="the demo's home")
    parser.add_argument("name", help="part of the message's file name")
    arguments = parser.parse_args()
    message = min((arguments.home / "outbox").glob(f"*{arguments.name}*.json"))  # the break, before its budget
    blocks = json.loads(message.read_text(encoding="utf-8"))["blocks"]
    taken = screenshot(page(blocks, message.with_suffix(".png").read_bytes()))
    picture = Image.open(io.BytesIO(taken)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(TARGET, optimize=True)
    print(f"{TARGET}: {picture.width} x {picture.height}, {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
