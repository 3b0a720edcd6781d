"""What each kind of channel sends, and which answers it takes for a yes."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from remotegpu.kit.channels import dingtalk, feishu, keys, mail, sending, standard_webhooks, webhook, wecom
from remotegpu.kit.channels.keys import Keys
from remotegpu.kit.channels.models import ChannelError, Dingtalk, Email, Message, Webhook, Wecom
from remotegpu.kit.channels.requests import Request

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
MESSAGE = Message(
    id="drill-failed-20261124T040000Z",
    source="acme",
    title="恢复演练失败",
    text="原因：12 行缺失\n处理：remotegpu site drill",
    level="problem",
    at=NOW,
    link="https://gpu.example.com",
)
VECTOR = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def body(request: Request) -> dict[str, object]:
    return json.loads(request.body)


def test_wecom_gets_markdown() -> None:
    (request,) = wecom.requests(MESSAGE, Keys(), NOW)
    assert body(request) == {
        "msgtype": "markdown",
        "markdown": {
            "content": '**<font color="warning">[acme] 恢复演练失败</font>**\n原因：12 行缺失\n'
            "处理：remotegpu site drill\n[https://gpu.example.com](https://gpu.example.com)"
        },
    }


def test_wecom_gets_a_long_text_in_numbered_parts_of_at_most_4096_bytes() -> None:
    long = Message(id="x", source="acme", title="长", text="备份👍🏽" * 900, level="info", at=NOW)
    contents = [json.loads(each.body)["markdown"]["content"] for each in wecom.requests(long, Keys(), NOW)]
    assert len(contents) > 1
    for number, content in enumerate(contents, 1):
        assert len(content.encode()) <= wecom.MOST_BYTES
        assert content.splitlines()[0].endswith(f"({number}/{len(contents)})")
    assert "".join("".join(content.splitlines()[1:]) for content in contents) == long.text


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"errcode": 0, "errmsg": "ok"}, None),
        ({"errcode": 45009, "errmsg": "api freq out of limit"}, "errcode 45009: api freq out of limit"),
        ({"errcode": 93000, "errmsg": "invalid webhook url"}, "errcode 93000: invalid webhook url"),
        ({}, "errcode None: None"),
    ],
)
def test_wecom_and_dingtalk_refuse_in_an_answer_with_status_200(
    answer: dict[str, object], found: str | None
) -> None:
    for module in (wecom, dingtalk):
        refused = module.refusal(answer)
        assert (refused.found if refused else None) == found


@pytest.mark.parametrize(
    ("answer", "is_taken"),
    [
        ({"code": 0, "msg": "success", "data": {}}, True),
        ({"StatusCode": 0, "StatusMessage": "success"}, True),
        ({"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}, False),
        ({}, False),
    ],
)
def test_feishu_refuses_so_too(answer: dict[str, object], is_taken: bool) -> None:
    assert (feishu.refusal(answer) is None) == is_taken


def test_dingtalk_is_signed_in_the_url() -> None:
    """The expected one was made with ``openssl dgst -sha256 -hmac SEC123``."""
    signed = dingtalk.signed("SEC123", 1577262236757)
    assert signed == {
        "timestamp": "1577262236757",
        "sign": "Z/IOagKYTkrnYtxAsTKneRe0bzmlPCH3ZDJPTD2h9QA=",
    }
    url = sending.with_query("https://oapi.dingtalk.com/robot/send?access_token=t", signed)
    assert parse_qs(urlsplit(url).query) == {"access_token": ["t"]} | {
        name: [text] for name, text in signed.items()
    }
    assert "%3D" in url
    (request,) = dingtalk.requests(MESSAGE, Keys(secret="SEC123"), NOW)
    assert request.query["timestamp"] == str(int(NOW.timestamp() * 1000))
    assert "行缺失  \n处理" in json.loads(request.body)["markdown"]["text"]
    (unsigned,) = dingtalk.requests(MESSAGE, Keys(), NOW)
    assert not unsigned.query


def test_feishu_is_signed_in_the_body_with_the_text_as_key() -> None:
    """The expected one was made with ``openssl dgst -sha256 -mac HMAC``, of nothing."""
    assert feishu.signed("demo", 1599360473) == {
        "timestamp": "1599360473",
        "sign": "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=",
    }
    (request,) = feishu.requests(MESSAGE, Keys(secret="demo"), NOW)
    sent = body(request)
    assert sent["timestamp"] == str(int(NOW.timestamp()))
    assert sent["msg_type"] == "post"
    (unsigned,) = feishu.requests(MESSAGE, Keys(), NOW)
    assert "sign" not in body(unsigned)
    post = json.loads(unsigned.body)["content"]["post"]["zh_cn"]
    assert post["title"] == "[acme] 恢复演练失败"
    assert post["content"][0] == [{"tag": "text", "text": "原因：12 行缺失"}]
    assert post["content"][-1][0]["href"] == "https://gpu.example.com"


def test_a_webhook_is_signed_as_the_specification_s_example_is() -> None:
    found = standard_webhooks.signature(
        VECTOR, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_s_id_stays_while_its_signature_follows_the_time() -> None:
    first, again = (
        webhook.requests(MESSAGE, Keys(secret=VECTOR), at)[0] for at in (NOW, NOW + timedelta(minutes=5))
    )
    assert first.body == again.body
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == MESSAGE.id
    assert first.headers["webhook-signature"] != again.headers["webhook-signature"]
    signed = f"{MESSAGE.id}.{int(NOW.timestamp())}.".encode() + first.body
    code = hmac.new(base64.b64decode(VECTOR.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert first.headers["webhook-signature"] == "v1," + base64.b64encode(code).decode()


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all", "whsec_" + "A" * 100]
)
def test_what_is_no_secret_of_a_webhook_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="expected whsec_"):
        standard_webhooks.signature(secret, "id", 1, b"")


def test_mail_says_who_and_what_and_the_same_id_each_time() -> None:
    channel = Email(
        name="ops",
        host="smtp",
        port=587,
        security="starttls",
        sender="gpu@example.com",
        recipients=("a@example.com", "b@example.com"),
    )
    made = mail.compose(channel, MESSAGE)
    assert made["Subject"] == "[acme] 恢复演练失败"
    assert made["To"] == "a@example.com, b@example.com"
    assert made["Message-ID"] == "<drill-failed-20261124T040000Z@acme.remotegpu.invalid>"
    assert made.get_content() == f"{MESSAGE.text}\n\nhttps://gpu.example.com\n"


def test_a_title_cannot_become_a_header() -> None:
    made = mail.compose(
        Email(name="o", host="h", port=25, security="tls", sender="a@b", recipients=("c@d",)),
        Message(id="<x>\n", source="acme", title="a\nBcc: e@f", text="", level="info", at=NOW),
    )
    assert made["Bcc"] is None
    assert made["Subject"] == "[acme] a Bcc: e@f"
    assert made["Message-ID"] == "<x@acme.remotegpu.invalid>"


@pytest.mark.parametrize(
    "url",
    ["", "http://robot.example.com/x", "https://", "ftp://x/y", "https://a b", "https://[", "https://x:0/"],
)
def test_a_url_that_cannot_be_used_is_named_by_its_file_and_not_shown(url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(url)
    channel = Wecom(name="ops", url_file=str(tmp_path / "url"))
    with pytest.raises(ChannelError, match=r"channel ops \(wecom\): found url_file") as caught:
        keys.read(channel)
    assert str(tmp_path / "url") in str(caught.value)
    assert not url.partition("//")[2] or url not in str(caught.value)


def test_all_files_that_cannot_be_used_are_found(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    (tmp_path / "ca").write_text("no certificate")
    channel = Webhook(
        name="own",
        url_file=str(tmp_path / "absent"),
        secret_file=str(tmp_path / "secret"),
        ca_file=str(tmp_path / "ca"),
    )
    found = {problem.field: problem.found for problem in keys.problems(channel)}
    assert found.keys() == {"url_file", "secret_file", "ca_file"}
    assert "No such file" in found["url_file"]
    assert "short" not in found["secret_file"]


def test_secrets_do_not_show(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://oapi.dingtalk.com/robot/send?access_token=0123456789\n")
    (tmp_path / "secret").write_text("SEC0123456789\n")
    channel = Dingtalk(name="d", url_file=str(tmp_path / "url"), secret_file=str(tmp_path / "secret"))
    found = keys.read(channel)
    assert found.secret == "SEC0123456789"
    assert "0123456789" not in repr(found)


def test_times_of_mail_carry_their_zone() -> None:
    at = NOW.astimezone(timezone(timedelta(hours=8)))
    made = mail.compose(
        Email(name="o", host="h", port=25, security="tls", sender="a@b", recipients=("c@d",)),
        Message(id="x", source="acme", title="t", text="", level="info", at=at),
    )
    assert made["Date"] == "Tue, 24 Nov 2026 12:00:00 +0800"
