"""Signatures against AWS's own published example, and names as browsers get them."""

from datetime import UTC, datetime, timedelta

import pytest

from remotegpu.server.core.signing import Signer, attachment

SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
WHEN = datetime(2013, 5, 24, tzinfo=UTC)


def test_a_presigned_download_has_the_signature_of_the_published_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    url = SIGNER.presigned_get("https://examplebucket.s3.amazonaws.com/test.txt", WHEN, timedelta(days=1))
    signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert url.endswith(f"&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}")


def test_another_name_is_another_signature() -> None:
    urls = {
        SIGNER.presigned_get("http://s3/b/k", WHEN, timedelta(minutes=1), {"response-content-disposition": n})
        for n in (attachment("a"), attachment("b"))
    }
    assert len({url.rpartition("=")[2] for url in urls}) == 2


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("metrics.json", "attachment; filename=\"metrics.json\"; filename*=UTF-8''metrics.json"),
        ("模型.pt", "attachment; filename=\"__.pt\"; filename*=UTF-8''%E6%A8%A1%E5%9E%8B.pt"),
        ('a"; x="b', "attachment; filename=\"a_; x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"),
        ("two\r\nlines", "attachment; filename=\"two__lines\"; filename*=UTF-8''two%0D%0Alines"),
    ],
)
def test_a_download_is_saved_under_any_name_without_breaking_the_header(name: str, header: str) -> None:
    assert attachment(name) == header
