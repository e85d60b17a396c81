"""Quota: the size limit of an upload."""

import pytest

from qmonus_lite.errors import TooLarge
from qmonus_lite.uploads.quota import Quota


def test_refuses_an_upload_above_the_limit() -> None:
    quota = Quota(max_bytes=10)
    quota.check_size(10)

    with pytest.raises(TooLarge, match="at most 10 bytes"):
        quota.check_size(11)


def test_no_limit_means_none() -> None:
    Quota().check_size(10**14)
