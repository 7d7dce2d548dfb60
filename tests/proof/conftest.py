from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import town
from .rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("proof")
    with town(folder) as make:
        yield Rig(make, folder)
