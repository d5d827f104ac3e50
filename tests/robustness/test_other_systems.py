"""What Windows and macOS lack is not needed to import the product: no `resource`, no `fcntl`, no fork."""

import subprocess
import sys

IMPORT_AS_ON_WINDOWS = """
import os, pkgutil, sys
from importlib import import_module
# Libraries have branches of their own for Windows: they are imported before the system is disguised.
import av, filelock, lightning, pycocotools.mask, rich.console, scipy.optimize, supervision
import torch, torchvision, trackeval, uvicorn
import transformers.models.mask2former.modeling_mask2former
before = set(sys.modules)
for name in ("resource", "fcntl", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("fork", "forkpty", "getuid", "geteuid", "killpg", "mkfifo", "sched_getaffinity", "register_at_fork"):
    vars(os).pop(name, None)
sys.platform = "win32"
import genvis
failures = []
for module in pkgutil.walk_packages(genvis.__path__, "genvis."):
    if not module.name.endswith("__main__"):
        try:
            import_module(module.name)
        except Exception as error:
            failures.append(f"{module.name}: {error!r}")
print("\\n".join(failures))
sys.exit(bool(failures))
"""


def test_every_module_is_imported_without_what_only_unix_has() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_AS_ON_WINDOWS], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
