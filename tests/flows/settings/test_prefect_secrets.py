"""${prefect:block-name}: a real Secret block of a real Prefect database, read when the source is connected."""

from pathlib import Path

from flows.settings import load_settings
from tests.flows.command import python
from tests.flows.small_bill import write_small_home
from tests.servers import openai
from tests.servers.json_api import serve

KEY = "sk-admin-canary"

SAVE_AND_CHECK = """
import sys
from flows.serving import prefect_home
from pathlib import Path
prefect_home.prepare(Path("data/prefect"))
from prefect.blocks.system import Secret
Secret(value=sys.argv[1]).save("openai-admin-key")
Secret(value={"key": "in a mapping"}).save("no-text")
sys.argv = ["trendbreak", "check"]
from flows.cli import main
main()
"""


def test_a_secret_block_is_read_when_its_source_is_connected_and_a_missing_one_is_named(tmp_path: Path) -> None:
    with serve(openai.OpenAIStub(admin_key=KEY, projects={"proj-a": "A"})) as provider:
        config = write_small_home(tmp_path)
        sources = "".join(
            f'  - {{name: {name}, type: openai, admin_key: "${{prefect:{block}}}", base_url: "{provider.url}/v1"}}\n'
            for name, block in (("good", "openai-admin-key"), ("absent", "never-made"), ("mapping", "no-text"))
        )
        config.write_text(config.read_text().replace("features: features.yml", f"{sources}features: features.yml"))
        load_settings(config)  # what needs no source asks Prefect nothing
        assert not (tmp_path / "data").exists()
        checked = python(SAVE_AND_CHECK, KEY, cwd=tmp_path)
    said = checked.stdout
    assert checked.returncode == 1, said + checked.stderr
    assert (
        "FAIL absent: configured — source 'absent', admin_key: Prefect has no secret block named 'never-made'" in said
    )
    assert "block 'no-text' must hold a text" in said
    assert "ok   good:" in said
    assert "FAIL good:" not in said
    assert KEY not in said + checked.stderr
    assert "in a mapping" not in said + checked.stderr
