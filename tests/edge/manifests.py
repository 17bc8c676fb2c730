"""What the tests of Kustomize and of Helm share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from tests.processes import ROOT

COMPOSE: Final = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_bytes())["services"]["service"]
# The release of Kubernetes whose schemas count.
VERSION: Final = "1.32"
# By kind and name.
Objects = dict[tuple[str, str], dict[str, Any]]
# That of the tests' requirements, or another one.
HELM: Final = shutil.which("helm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or ""
