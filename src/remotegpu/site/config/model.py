"""``remotegpu.yaml`` as types. Each field carries what it means in English and Chinese, a pattern, and an example.

The annotated file, the reference page and the JSON Schema are generated from here.
"""

from typing import Annotated, Literal

import msgspec

from remotegpu.site.config.texts import about

Slug = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]\Z"
DomainName = r"^(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z"
ReleaseTag = r"^(v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?|main-[0-9a-f]{7,40})\Z"
Path = r"^/[^\x00]*\Z"
OptionalPath = r"^(|/[^\x00]*)\Z"
ClockTime = r"^([01]\d|2[0-3]):[0-5]\d\Z"
Memory = r"^[1-9]\d*(m|g)\Z"
Registry = r"^(|(?!.*//)[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9/])?)\Z"
Bucket = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z"
Region = r"^[A-Za-z0-9-]{1,64}\Z"
HttpUrl = r"^https?://[^\s]+\Z"

Network4 = r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}\Z"
ChannelName = r"^[a-z][a-z0-9-]{0,30}\Z"
MailAddress = r"^[^@\s<>,]{1,64}@[^@\s<>,]{1,253}\Z"
AgeRecipient = r"^age1[02-9ac-hj-np-z]{58}\Z"

Service = Literal[
    "nginx", "backend", "frontend", "worker", "migrate", "postgresql", "redis", "rustfs", "backup"
]
Exposable = Literal["postgresql", "redis", "rustfs"]


class Section(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A part of the file. A field that nobody knows is a mistake, never ignored."""


class Site(Section, kw_only=True, frozen=True):
    name: Annotated[
        str,
        about(
            "Name of the site. It marks containers, networks, volumes and backups.",
            "站点名称，用于标记容器、网络、数据卷和备份。",
            pattern=Slug,
            says="2 to 32 lower-case letters, digits or hyphens, beginning with a letter",
        ),
    ]
    domain: Annotated[
        str,
        about(
            "Name under which people and GPU hosts reach the site.",
            "用户和 GPU 主机访问站点所用的域名。",
            pattern=DomainName,
            says="a domain name such as gpu.example.com",
        ),
    ]
    size: Annotated[
        Literal["single"],
        about(
            "single: everything on one management node (up to about 50 GPU hosts).",
            "single：所有服务部署在一台管理节点上（约 50 台 GPU 主机以内）。",
        ),
    ] = "single"
    directory: Annotated[
        str,
        about(
            "Where the rendered bundle, backups and logs lie on the management node.",
            "管理节点上存放部署文件、备份和日志的目录。",
            pattern=Path,
            says="an absolute path",
        ),
    ] = "/opt/remotegpu"
    timezone: Annotated[
        str,
        about(
            "Time zone of the times in this file and of the containers.",
            "本文件中的时间以及容器所用的时区。",
            pattern=r"^[A-Za-z0-9_+/-]+\Z",
            says="a name such as Asia/Shanghai or UTC",
        ),
    ] = "Asia/Shanghai"


class Release(Section, kw_only=True, frozen=True):
    version: Annotated[
        str,
        about(
            "Release to run: a version or a build of the main branch. Mutable tags such as latest are refused.",
            "要运行的版本：正式版本或主分支构建。不接受 latest 等可变标签。",
            pattern=ReleaseTag,
            says="vX.Y.Z or main-<commit>",
        ),
    ]
    registry: Annotated[
        str,
        about(
            "Where remotegpu-backend and remotegpu-frontend are pulled from. Empty: only images that are here already.",
            "拉取 remotegpu-backend 和 remotegpu-frontend 的镜像仓库。留空：只使用本机已有的镜像。",
            pattern=Registry,
            says="a registry without https://, such as registry.example.com/remotegpu",
        ),
    ] = ""
    keep: Annotated[
        int,
        about(
            "Earlier releases kept with their images, for rolling back without a registry.",
            "本机保留的历史版本数量（含镜像），用于不依赖镜像仓库的回滚。",
            ge=5,
            le=50,
        ),
    ] = 5
    start_seconds: Annotated[
        int,
        about(
            "How long a new release may take until it is healthy; after that the old one stays.",
            "新版本达到健康状态的最长时间，超时则继续使用旧版本。",
            ge=5,
            le=3600,
        ),
    ] = 60
    watch_seconds: Annotated[
        int,
        about(
            "How long the new release is watched after the switch before the old one may go.",
            "切换后观察新版本的时间，之后才会停用旧版本。",
            ge=0,
            le=3600,
        ),
    ] = 10
    error_percent: Annotated[
        float,
        about(
            "Share of failed requests (5xx) while watching above which the old release is brought back.",
            "观察期内 5xx 请求占比超过该值时自动恢复旧版本。",
            ge=0,
            le=100,
        ),
    ] = 5.0
    drain_seconds: Annotated[
        int,
        about(
            "How long connections of the old release are waited for when it has to stop.",
            "停用旧版本前等待其连接结束的最长时间。",
            ge=0,
            le=86_400,
        ),
    ] = 30


class Components(Section, kw_only=True, frozen=True):
    rustfs: Annotated[
        bool,
        about(
            "Run the object store on this node. When false, fill in object_store.",
            "在本节点运行对象存储。设为 false 时需填写 object_store。",
        ),
    ] = True


class S3(Section, kw_only=True, frozen=True):
    endpoint: Annotated[
        str,
        about(
            "URL of the S3 service.",
            "S3 服务地址。",
            pattern=HttpUrl,
            says="a URL such as https://s3.example.com",
        ),
    ]
    bucket: Annotated[
        str,
        about(
            "Bucket, which must exist.",
            "存储桶，必须已存在。",
            pattern=Bucket,
            says="3 to 63 lower-case letters, digits, dots or hyphens",
        ),
    ]
    region: Annotated[str, about("Region.", "区域。", pattern=Region, says="a name such as us-east-1")] = (
        "us-east-1"
    )
    access_key_file: Annotated[
        str,
        about("File with the access key.", "访问密钥文件。", pattern=Path, says="an absolute path"),
    ]
    secret_key_file: Annotated[
        str,
        about("File with the secret key.", "密钥文件。", pattern=Path, says="an absolute path"),
    ]


class Tls(Section, kw_only=True, frozen=True):
    mode: Annotated[
        Literal["files", "local-ca", "acme"],
        about(
            "files: your own certificate. local-ca: a certificate authority of the site, to be trusted on each client. "
            "acme: a public certificate, renewed by itself (the domain must reach http_port from outside).",
            "files：使用自有证书。local-ca：由站点自建的 CA 签发，需在各客户端信任。"
            "acme：自动申请并续期公共证书（外部须能通过该域名访问 http_port）。",
        ),
    ] = "local-ca"
    certificate: Annotated[
        str,
        about(
            "With files: PEM file of the certificate and its chain.",
            "files 模式：证书及其链的 PEM 文件。",
            pattern=r"^(|/[^\x00]*)\Z",
            says="an absolute path",
        ),
    ] = ""
    key: Annotated[
        str,
        about(
            "With files: PEM file of the private key.",
            "files 模式：私钥 PEM 文件。",
            pattern=r"^(|/[^\x00]*)\Z",
            says="an absolute path",
        ),
    ] = ""
    acme_directory: Annotated[
        str,
        about(
            "With acme: the directory URL of the authority.",
            "acme 模式：证书颁发机构的目录地址。",
            pattern=HttpUrl,
            says="a URL",
        ),
    ] = "https://acme-v02.api.letsencrypt.org/directory"
    acme_email: Annotated[
        str,
        about(
            "With acme: where the authority writes to.",
            "acme 模式：接收颁发机构通知的邮箱。",
            pattern=r"^(|[^@\s]{1,64}@[^@\s]{3,253})\Z",
            says="an e-mail address",
        ),
    ] = ""


class Network(Section, kw_only=True, frozen=True):
    http_port: Annotated[
        int,
        about("Port that redirects to HTTPS.", "重定向到 HTTPS 的端口。", ge=1, le=65535),
    ] = 80
    https_port: Annotated[int, about("Port of the site.", "站点端口。", ge=1, le=65535)] = 443
    subnet: Annotated[
        str,
        about(
            "Private /22 network of the containers; no other network of this node may overlap it.",
            "容器使用的 /22 私有网段，不能与本节点的其他网络重叠。",
            pattern=Network4,
            says="a network such as 172.30.0.0/22",
        ),
    ] = "172.30.0.0/22"
    requests_per_second: Annotated[
        int,
        about(
            "Requests per second that one client address may send on average; bursts of twice as many pass.",
            "单个客户端地址每秒允许的平均请求数，允许两倍的突发。",
            ge=1,
            le=100_000,
        ),
    ] = 100
    trusted_proxies: Annotated[
        list[Annotated[str, about("A network.", "网段。", pattern=Network4, says="a network")]],
        about(
            "Networks of load balancers in front of this node, whose X-Forwarded-For is believed.",
            "本节点前方负载均衡所在的网段，信任其 X-Forwarded-For。",
        ),
    ] = []
    internal_address: Annotated[
        str,
        about(
            "Address of this node in the internal network, for the ports listed in expose.",
            "本节点的内网地址，expose 中的端口只绑定到该地址。",
            pattern=r"^(|\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]+)\Z",
            says="an IP address",
        ),
    ] = ""
    expose: Annotated[
        list[Exposable],
        about(
            "Services to publish on the internal address. Everything else is reached through nginx only.",
            "发布到内网地址的服务。其他服务只能通过 nginx 访问。",
        ),
    ] = []


class Backup(Section, kw_only=True, frozen=True):
    daily_at: Annotated[
        str,
        about(
            "Time of the daily database dump (local time).",
            "每日数据库全量备份的时间（本地时间）。",
            pattern=ClockTime,
            says="HH:MM",
        ),
    ] = "02:00"
    objects_at: Annotated[
        str,
        about(
            "Time of the daily copy of the object store.",
            "每日对象存储增量同步的时间。",
            pattern=ClockTime,
            says="HH:MM",
        ),
    ] = "03:00"
    drill_at: Annotated[
        str,
        about(
            "Time of the nightly drill, which restores the newest backup and compares it.",
            "每晚恢复演练的时间：恢复最新备份并核对。",
            pattern=ClockTime,
            says="HH:MM",
        ),
    ] = "04:00"
    age_recipients: Annotated[
        list[Annotated[str, about("A public key.", "公钥。", pattern=AgeRecipient, says="age1...")]],
        about(
            "Public age keys that can open the bundle of secrets. Keep their private halves off this node.",
            "可解开密钥备份包的 age 公钥；对应私钥不要放在本节点上。",
        ),
    ] = []
    keep_days: Annotated[int, about("Days a dump is kept.", "全量备份保留天数。", ge=1, le=3650)] = 30
    wal_days: Annotated[
        int,
        about(
            "Days back to which any moment can be restored.",
            "可恢复到任意时刻的天数。",
            ge=1,
            le=365,
        ),
    ] = 7
    offsite: (
        Annotated[
            S3,
            about("A second place for backups, off this node.", "本节点之外的第二备份位置。"),
        ]
        | None
    ) = None


class Channel(Section, kw_only=True, frozen=True, tag_field="kind"):
    """What every way to tell somebody has."""

    name: Annotated[
        str,
        about(
            "Name of the channel in messages, metrics and commands.",
            "通道名称，用于消息、指标和命令。",
            pattern=ChannelName,
            says="up to 31 lower-case letters, digits or hyphens, beginning with a letter",
        ),
    ]
    ca_file: Annotated[
        str,
        about(
            "PEM file of the authority to trust when the other side has no public certificate.",
            "对方未使用公共证书时，所信任的 CA 的 PEM 文件。",
            pattern=OptionalPath,
            says="an absolute path",
        ),
    ] = ""


UrlFile = Annotated[
    str,
    about(
        "File with the URL, which is a secret: who knows it can post.",
        "存放 URL 的文件；URL 属于机密，知道它即可发送消息。",
        pattern=Path,
        says="an absolute path of a file (the URL itself never stands here)",
    ),
]
RobotSecretFile = Annotated[
    str,
    about(
        "File with the secret of a robot that wants signatures.",
        "启用签名校验的机器人的密钥文件。",
        pattern=OptionalPath,
        says="an absolute path",
    ),
]


class WecomChannel(Channel, kw_only=True, frozen=True, tag="wecom"):
    """A robot of a WeCom group."""

    url_file: UrlFile


class DingtalkChannel(Channel, kw_only=True, frozen=True, tag="dingtalk"):
    """A robot of a DingTalk group."""

    url_file: UrlFile
    secret_file: RobotSecretFile = ""


class FeishuChannel(Channel, kw_only=True, frozen=True, tag="feishu"):
    """A robot of a Feishu group."""

    url_file: UrlFile
    secret_file: RobotSecretFile = ""


class WebhookChannel(Channel, kw_only=True, frozen=True, tag="webhook"):
    """A program of one's own."""

    url_file: UrlFile
    secret_file: Annotated[
        str,
        about(
            "File with the secret that signs requests (Standard Webhooks: whsec_ and base64).",
            "请求签名密钥文件（Standard Webhooks：whsec_ 加 base64）。",
            pattern=Path,
            says="an absolute path",
        ),
    ]


class EmailChannel(Channel, kw_only=True, frozen=True, tag="email"):
    """A mail server."""

    host: Annotated[
        str,
        about("Mail server.", "邮件服务器。", pattern=r"^[A-Za-z0-9.:-]{1,253}\Z", says="a host name"),
    ]
    port: Annotated[int, about("Its port.", "端口。", ge=1, le=65535)] = 587
    security: Annotated[
        Literal["starttls", "tls"],
        about(
            "starttls: encrypted after the greeting (port 587). tls: from the first byte (port 465).",
            "starttls：问候之后加密（587 端口）。tls：从一开始就加密（465 端口）。",
        ),
    ] = "starttls"
    user: Annotated[str, about("Name to sign in with. Empty: without.", "登录名。留空：不登录。")] = ""
    password_file: Annotated[
        str,
        about(
            "File with the password of user.",
            "user 的密码文件。",
            pattern=OptionalPath,
            says="an absolute path",
        ),
    ] = ""
    sender: Annotated[
        str,
        about("Address that mails come from.", "发件人地址。", pattern=MailAddress, says="an e-mail address"),
    ]
    recipients: Annotated[
        list[Annotated[str, about("An address.", "地址。", pattern=MailAddress, says="an e-mail address")]],
        about("Addresses that mails go to.", "收件人地址。", min_length=1, says="a list of e-mail addresses"),
    ]


AnyChannel = WecomChannel | DingtalkChannel | FeishuChannel | WebhookChannel | EmailChannel


class Alerts(Section, kw_only=True, frozen=True):
    language: Annotated[Literal["en", "zh"], about("Language of the messages.", "消息语言。")] = "zh"
    channels: Annotated[
        list[AnyChannel],
        about(
            "Where people are told that backups, drills, deployments or restores failed, and that they work again. "
            "For example [{kind: wecom, name: ops, url_file: /etc/remotegpu/wecom.url}].",
            "备份、恢复演练、部署或恢复失败以及重新正常时的通知去向。"
            "例如 [{kind: wecom, name: ops, url_file: /etc/remotegpu/wecom.url}]。",
        ),
    ] = []


class Limits(Section, kw_only=True, frozen=True):
    cpus: Annotated[float, about("CPU cores.", "CPU 核数。", ge=0.1, le=1024)] | None = None
    memory: (
        Annotated[
            str,
            about("Memory.", "内存。", pattern=Memory, says="a size such as 512m or 4g"),
        ]
        | None
    ) = None
    pids: Annotated[int, about("Processes and threads.", "进程与线程数。", ge=16, le=1_000_000)] | None = None


class Config(Section, kw_only=True, frozen=True):
    """The whole file."""

    site: Annotated[Site, about("The site.", "站点。")]
    release: Annotated[Release, about("What runs.", "运行的版本。")]
    components: Annotated[Components, about("Parts of the site.", "站点组件。")] = Components()
    object_store: (
        Annotated[
            S3,
            about(
                "The S3 service to use when components.rustfs is false.",
                "components.rustfs 为 false 时使用的 S3 服务。",
            ),
        ]
        | None
    ) = None
    tls: Annotated[Tls, about("Certificates.", "证书。")] = Tls()
    network: Annotated[Network, about("Ports and addresses.", "端口与地址。")] = Network()
    backup: Annotated[Backup, about("Backups.", "备份。")] = Backup()
    alerts: Annotated[Alerts, about("Who is told of failures.", "故障通知。")] = Alerts()
    limits: Annotated[
        dict[Service, Limits],
        about(
            "Limits of single services, where the built-in ones do not fit.",
            "单个服务的资源限制，用于覆盖内置值。",
        ),
    ] = {}
    images: Annotated[
        dict[str, str],
        about(
            "Other images than those of the version manifest, by component: name:tag or name@sha256:digest.",
            "替换版本清单中的镜像，按组件填写：name:tag 或 name@sha256:digest。",
        ),
    ] = {}
