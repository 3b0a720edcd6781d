"""Messages reach robots, programs and mailboxes; what keeps them from it is said, and never a secret."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

import far_sides
from far_sides import KEY, SECRET, WEBHOOK_SECRET, Authority
from remotegpu.kit.channels.models import (
    Channel,
    ChannelError,
    Dingtalk,
    Email,
    Feishu,
    Message,
    Webhook,
    Wecom,
)
from remotegpu.kit.channels.sending import send
from remotegpu.kit.clock import utc_now

MESSAGE = Message(
    id="drill-failed-1",
    source="acme",
    title="恢复演练失败",
    text="原因：12 行缺失 👨‍👩‍👧‍👦\n处理：remotegpu site drill",
    level="problem",
    at=datetime(2026, 11, 24, 4, 0, tzinfo=UTC),
    link="https://gpu.example.com",
)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return far_sides.authority(tmp_path_factory.mktemp("authority"))


class Files:
    """Secrets as files, and channels that name them."""

    def __init__(self, folder: Path, trust: Authority) -> None:
        self.folder, self.ca = folder, str(trust.ca)

    def holding(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content + "\n")
        return str(self.folder / name)

    def wecom(self, url: str) -> Wecom:
        return Wecom(name="ops", url_file=self.holding("url", url), ca_file=self.ca)


@pytest.fixture
def files(tmp_path: Path, trust: Authority) -> Files:
    return Files(tmp_path, trust)


def refused(channel: Channel, message: Message = MESSAGE, timeout_s: float = 10) -> str:
    with pytest.raises(ChannelError) as caught:
        send(channel, message, utc_now(), timeout_s=timeout_s)
    said = str(caught.value)
    assert said.startswith(f"channel {channel.name} (")
    for secret in (KEY, SECRET, WEBHOOK_SECRET, "hunter2"):
        assert secret not in said
    return said


def test_wecom_takes_it(files: Files, trust: Authority) -> None:
    with far_sides.running(far_sides.wecom, trust) as robot:
        send(files.wecom(robot.url(f"/cgi-bin/webhook/send?key={KEY}")), MESSAGE, utc_now())
        (got,) = robot.taken
    assert "恢复演练失败" in got.json["markdown"]["content"]
    assert got.headers["Content-Type"].startswith("application/json")


def test_wecom_gets_a_long_message_in_parts(files: Files, trust: Authority) -> None:
    long = msgspec.structs.replace(MESSAGE, text="备份失败👍🏽\n" * 600)
    with far_sides.running(far_sides.wecom, trust) as robot:
        send(files.wecom(robot.url(f"/send?key={KEY}")), long, utc_now())
        text = "".join(got.json["markdown"]["content"] for got in robot.taken)
    assert text.count("备份失败👍🏽") == 600


def test_a_refusal_with_status_200_is_a_failure(files: Files, trust: Authority) -> None:
    with far_sides.running(far_sides.wecom, trust) as robot:
        channel = files.wecom(robot.url(f"/send?key={KEY}"))
        for _ in range(far_sides.WECOM_A_MINUTE):
            send(channel, MESSAGE, utc_now())
        said = refused(channel)
    assert "found errcode 45009: api freq out of limit, expected an answer that it was taken" in said
    assert "20 messages a minute" in said


def test_an_answer_that_repeats_the_key_is_not_repeated(files: Files, trust: Authority) -> None:
    wrong = "another-key-of-somebody"
    with far_sides.running(far_sides.wecom, trust) as robot:
        said = refused(files.wecom(robot.url(f"/send?key={wrong}")))
    assert "errcode 93000: invalid webhook url, ***" in said
    assert wrong not in said


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (far_sides.always(500, b"oops"), "found status 500: oops, expected status 200"),
        (far_sides.always(302, b""), "found status 302"),
        (far_sides.always(200, b"<html>sign in</html>"), "found an answer that is no JSON: <html>"),
        (far_sides.always(200, b"[1]"), "found an answer that is no JSON"),
        (far_sides.always(200, b"{}"), "found errcode None"),
        (far_sides.slow(3), "found no answer in time"),
    ],
    ids=["500", "redirect", "a page", "a list", "nothing", "slow"],
)
def test_anything_but_a_yes_is_a_failure(
    judge: far_sides.Judge, said: str, files: Files, trust: Authority
) -> None:
    with far_sides.running(judge, trust) as robot:
        assert said in refused(files.wecom(robot.url(f"/send?key={KEY}")), timeout_s=1)


def test_nobody_there(files: Files) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/send?key={KEY}"
        assert "Cannot connect to host 127.0.0.1" in refused(files.wecom(url))


def test_one_who_listens_and_says_nothing(files: Files) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/send?key={KEY}"
        assert "found no answer in time" in refused(files.wecom(url), timeout_s=0.5)


def test_a_certificate_that_nobody_vouches_for_gets_nothing(files: Files, trust: Authority) -> None:
    with far_sides.running(far_sides.wecom, trust) as robot:
        channel = files.wecom(robot.url(f"/send?key={KEY}"))
        assert "certificate" in refused(msgspec.structs.replace(channel, ca_file=""))
        assert robot.asked == 0


def test_dingtalk_and_feishu_believe_the_signature(files: Files, trust: Authority) -> None:
    for kind, judge in ((Dingtalk, far_sides.dingtalk), (Feishu, far_sides.feishu)):
        with far_sides.running(judge, trust) as robot:
            url = files.holding("url", robot.url("/robot/send?access_token=x"))
            channel = kind(
                name="signed", url_file=url, secret_file=files.holding("secret", SECRET), ca_file=files.ca
            )
            send(channel, MESSAGE, utc_now())
            assert len(robot.taken) == 1
            assert "sign" in refused(msgspec.structs.replace(channel, secret_file=""))
            wrong = files.holding("wrong", "SEC-of-another-robot")
            said = refused(msgspec.structs.replace(channel, secret_file=wrong))
            assert "sign" in said
            assert "SEC-of-another-robot" not in said


def test_a_webhook_is_believed_by_its_signature_and_answers_what_it_wants(
    files: Files, trust: Authority
) -> None:
    with far_sides.running(far_sides.webhook, trust) as program:
        channel = Webhook(
            name="own",
            url_file=files.holding("url", program.url("/alerts")),
            secret_file=files.holding("secret", WEBHOOK_SECRET),
            ca_file=files.ca,
        )
        send(channel, MESSAGE, utc_now())
        (got,) = program.taken
        assert got.json["type"] == "remotegpu.alert"
        assert got.json["data"]["text"] == MESSAGE.text
        assert got.json["data"]["level"] == "problem"
        other = files.holding("other", "whsec_" + "A" * 32)
        assert "found status 401" in refused(msgspec.structs.replace(channel, secret_file=other))


def test_halves_of_characters_do_not_stop_a_message(files: Files, trust: Authority) -> None:
    torn = msgspec.structs.replace(MESSAGE, text="output: \udcff")
    with far_sides.running(far_sides.wecom, trust) as robot:
        send(files.wecom(robot.url(f"/send?key={KEY}")), torn, utc_now())
        assert "output: ?" in robot.taken[0].json["markdown"]["content"]


class Mailbox:
    """What aiosmtpd hands over. Mail for ``nobody`` is refused."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - so it is called
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def sign_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"alerts", b"hunter2-hunter2"), handled=False)


class StartTls(Controller):
    """Wants STARTTLS, then a name and a password."""

    def __init__(self, mailbox: Mailbox, trust: Authority) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=free_port())
        self.trust = trust

    def factory(self) -> SMTP:
        return SMTP(
            self.handler,
            tls_context=self.trust.server,
            require_starttls=True,
            auth_required=True,
            authenticator=sign_in,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mail_server(mailbox: Mailbox, trust: Authority) -> Iterator[StartTls]:
    controller = StartTls(mailbox, trust)
    controller.start()
    yield controller
    controller.stop()


def by_mail(files: Files, port: int) -> Email:
    return Email(
        name="mail",
        host="127.0.0.1",
        port=port,
        security="starttls",
        sender="gpu@example.com",
        recipients=("ops@example.com", "boss@example.com"),
        user="alerts",
        password_file=files.holding("password", "hunter2-hunter2"),
        ca_file=files.ca,
    )


def test_mail_arrives_by_starttls(files: Files, mail_server: StartTls, mailbox: Mailbox) -> None:
    send(by_mail(files, mail_server.port), MESSAGE, utc_now())
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[acme] 恢复演练失败"
    assert mail.get_content().replace("\r\n", "\n") == f"{MESSAGE.text}\n\nhttps://gpu.example.com\n"


def test_what_a_mail_server_refuses_is_said(files: Files, mail_server: StartTls, mailbox: Mailbox) -> None:
    channel = by_mail(files, mail_server.port)
    wrong = files.holding("wrong", "hunter2-wrong")
    assert "535" in refused(msgspec.structs.replace(channel, password_file=wrong))
    assert "certificate" in refused(msgspec.structs.replace(channel, ca_file=""))
    assert mailbox.mails == []
    some = ("nobody@example.com", "ops@example.com")
    assert "recipients refused: nobody@example.com" in refused(
        msgspec.structs.replace(channel, recipients=some)
    )


def test_mail_arrives_by_tls_from_the_first_byte(files: Files, mailbox: Mailbox, trust: Authority) -> None:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ssl_context=trust.server)
    controller.start()
    try:
        channel = msgspec.structs.replace(
            by_mail(files, controller.port), security="tls", user="", password_file=""
        )
        send(channel, MESSAGE, utc_now())
    finally:
        controller.stop()
    assert len(mailbox.mails) == 1


def test_a_mail_server_that_says_nothing(files: Files) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = refused(by_mail(files, silent.getsockname()[1]), timeout_s=0.5)
    assert "found no answer of 127.0.0.1:" in said
