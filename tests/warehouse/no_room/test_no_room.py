"""A full disk, or one mounted read-only: the error names the place and the cure; with room again all is as before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warehouse.no_room.full_disk import NO_DISK

# A mount of our own: in a user namespace anybody may, and root may without one. Nothing is left when the process ends.
NAMESPACES = (("--map-root-user", "--mount"), ("--mount",))


@pytest.mark.parametrize("check", ["landing", "warehouse", "snapshot", "state_store", "read_only"])
def test_a_full_disk(check: str, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.fail("no `unshare` or `mount` to make a small disk with: apt-get install util-linux mount")
    said = ""
    for namespace in NAMESPACES:
        done = subprocess.run(
            ["unshare", *namespace, sys.executable, "-m", "tests.warehouse.no_room.full_disk", check, str(tmp_path)],
            cwd=Path(__file__).parents[3],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return
        said = done.stderr
        if done.returncode != NO_DISK and "unshare: " not in said:
            pytest.fail(said)
    pytest.fail(
        f"no small disk may be mounted here: allow user namespaces (sysctl -w kernel.unprivileged_userns_clone=1 "
        f"kernel.apparmor_restrict_unprivileged_userns=0), or run as root with CAP_SYS_ADMIN: {said}"
    )
