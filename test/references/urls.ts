/** URLs that callers may send, and that must not be called, with a part of the reason. */

const ADDRESS = "private, local or reserved IP address";
const NAME = "public host";
const PORT = "port 443";
const HTTPS = "an https URL";
const USER = "user name or password";
const CHARACTERS = "spaces, control characters or backslashes";
const VALID = "a valid URL";

const IPV4_SPELLINGS = [
  ...["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "0x7f.0.0.1", "017700000001"],
  ...["0177.0.0.1", "0177.0x0.0.01", "127.0.0.1.", "00000177.0.0.1", "%31%32%37.0.0.1", "127%2e0%2e0%2e1"],
  ...["１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "127.255.255.255"],
];

const IPV4_RANGES = [
  ...[
    "0.0.0.0",
    "0",
    "0.1.2.3",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
  ],
  ...["100.127.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "2852039166", "0xa9fea9fe"],
  ...["0251.0376.0251.0376", "169.254.170.2", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0"],
  ...[
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
  ],
  ...["198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
];

const IPV6 = [
  ...["[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"],
  ...[
    "[::FFFF:169.254.169.254]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::ffff:8.8.8.8]",
    "[::127.0.0.1]",
    "[::7f00:1]",
  ],
  ...["[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]"],
  ...[
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001::1]",
    "[2001:0:a9fe:a9fe::]",
    "[2001:1ff::1]",
    "[2001:db8::1]",
  ],
  ...[
    "[3fff::1]",
    "[3fff:fff::1]",
    "[100::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
  ],
  ...["[febf::1]", "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[1fff::1]", "[4000::1]", "[5f00::1]"],
];

const NAMES = [
  ...[
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "%6cocalhost",
    "ｌocalhost",
    "localhost.localdomain",
  ],
  ...["printer.local", "db.internal", "metadata.google.internal", "metadata.google.internal.", "metadata"],
  ...[
    "instance-data.ec2.internal",
    "instance-data",
    "metadata.azure.internal",
    "metadata.goog",
    "a.metadata.goog",
  ],
  ...["metadata.tencentyun.com", "metadata.oraclecloud.com", "metadata.packet.net", "router.lan", "nas.home"],
  ...[
    "nas.home.arpa",
    "1.0.0.127.in-addr.arpa",
    "x.intranet",
    "x.corp",
    "x.private",
    "expyuzz4wqqyqhjn.onion",
  ],
  ...["intranet", "com", "example.com.", "example..com", ".example.com", "example.com..", "-a.example.com"],
  ...[`${"a".repeat(64)}.example.com`, `${"a.".repeat(126)}ab`],
];

const PORTS = [0, 1, 21, 22, 25, 53, 80, 110, 444, 1023, 1719, 2049, 5060, 6000, 6667, 10080];

const LENGTH = 2_048;

export const HOSTILE: readonly (readonly [url: string, reason: string])[] = [
  ...IPV4_SPELLINGS.map((host) => [`https://${host}/`, ADDRESS] as const),
  ...IPV4_RANGES.map((host) => [`https://${host}/a.png`, ADDRESS] as const),
  ...IPV6.map((host) => [`https://${host}/`, ADDRESS] as const),
  ...IPV6.map((host) => [`https://${host}:8443/`, ADDRESS] as const),
  ...NAMES.map((host) => [`https://${host}/`, NAME] as const),
  ...PORTS.map((port) => [`https://example.com:${port}/`, PORT] as const),
  ["https://example.com:65536/", VALID],
  ["https://example.com:x/", VALID],
  ["https://[fe80::1%25eth0]/", VALID],
  ["https://[fe80::1%eth0]/", VALID],
  ["https://[::1/", VALID],
  ["https://1.2.3.4.5/", VALID],
  ["https://127.0.0.0x100/", VALID],
  ["https://256.256.256.256/", VALID],
  ["https://4294967296/", VALID],
  ["https://exam<ple.com/", VALID],
  ["https://example.com%00.evil.com/", VALID],
  ["https://exam%20ple.com/", VALID],
  ["http://example.com/", HTTPS],
  ["HTTP://example.com/", HTTPS],
  ["http://127.0.0.1/", HTTPS],
  ["https:example.com", HTTPS],
  ["https:/example.com", HTTPS],
  ["https:///example.com", HTTPS],
  ["//example.com/", HTTPS],
  ["/etc/passwd", HTTPS],
  ["example.com", HTTPS],
  ["", HTTPS],
  ["https://", HTTPS],
  ["https://?a", HTTPS],
  ["ftp://example.com/", HTTPS],
  ["file:///etc/passwd", HTTPS],
  ["gopher://127.0.0.1:6379/_", HTTPS],
  ["data:image/png;base64,AAAA", HTTPS],
  ["blob:https://example.com/1", HTTPS],
  ["javascript:alert(1)", HTTPS],
  ["ws://example.com/", HTTPS],
  ["view-source:https://example.com/", HTTPS],
  ["https://user@example.com/", USER],
  ["https://user:password@example.com/", USER],
  ["https://:password@example.com/", USER],
  ["https://@example.com/", USER],
  ["https://example.com@127.0.0.1/", USER],
  ["https://example.com:443@169.254.169.254/", USER],
  [" https://example.com/", CHARACTERS],
  ["https://example.com/ ", CHARACTERS],
  ["https://exam\tple.com/", CHARACTERS],
  ["https://example.com/\r\nX-A: b", CHARACTERS],
  ["https://example.com\u0000.evil.com/", CHARACTERS],
  ["https://example.com/\u0085", CHARACTERS],
  ["https:\\\\127.0.0.1\\", CHARACTERS],
  ["https://example.com\\@127.0.0.1/", CHARACTERS],
  [`https://example.com/${"a".repeat(LENGTH - 19)}`, `at most ${LENGTH} characters`],
];

/** What may be called, and as what. */
export const HARMLESS: readonly (readonly [url: string, called: string])[] = [
  ["https://example.com", "https://example.com/"],
  ["HTTPS://EXAMPLE.COM/A.png?b=c#d", "https://example.com/A.png?b=c#d"],
  ["https://example.com:443/", "https://example.com/"],
  ["https://example.com:8443/", "https://example.com:8443/"],
  ["https://example.com:1024/", "https://example.com:1024/"],
  ["https://example.com:65535/", "https://example.com:65535/"],
  ["https://example.com/a@b", "https://example.com/a@b"],
  ["https://example.com?a@b", "https://example.com/?a@b"],
  ["https://localhost.example.com/", "https://localhost.example.com/"],
  ["https://internal.example.com/", "https://internal.example.com/"],
  ["https://metadata.example.com/", "https://metadata.example.com/"],
  ["https://notmetadata.goog/", "https://notmetadata.goog/"],
  ["https://a_b.example.com/", "https://a_b.example.com/"],
  ["https://bücher.example/", "https://xn--bcher-kva.example/"],
  ["https://例え.jp/絵.png", "https://xn--r8jz45g.jp/%E7%B5%B5.png"],
  ["https://8.8.8.8/", "https://8.8.8.8/"],
  ["https://1.1/", "https://1.0.0.1/"],
  ["https://9.255.255.255/", "https://9.255.255.255/"],
  ["https://11.0.0.0/", "https://11.0.0.0/"],
  ["https://100.63.255.255/", "https://100.63.255.255/"],
  ["https://100.128.0.0/", "https://100.128.0.0/"],
  ["https://126.255.255.255/", "https://126.255.255.255/"],
  ["https://128.0.0.1/", "https://128.0.0.1/"],
  ["https://168.63.129.17/", "https://168.63.129.17/"],
  ["https://169.253.255.255/", "https://169.253.255.255/"],
  ["https://169.255.0.0/", "https://169.255.0.0/"],
  ["https://172.15.255.255/", "https://172.15.255.255/"],
  ["https://172.32.0.0/", "https://172.32.0.0/"],
  ["https://192.0.1.0/", "https://192.0.1.0/"],
  ["https://192.167.255.255/", "https://192.167.255.255/"],
  ["https://192.169.0.0/", "https://192.169.0.0/"],
  ["https://198.17.255.255/", "https://198.17.255.255/"],
  ["https://198.20.0.0/", "https://198.20.0.0/"],
  ["https://223.255.255.255/", "https://223.255.255.255/"],
  ["https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"],
  ["https://[2000::1]/", "https://[2000::1]/"],
  ["https://[2001:200::1]/", "https://[2001:200::1]/"],
  ["https://[2003::1]/", "https://[2003::1]/"],
  ["https://[3fff:1000::1]/", "https://[3fff:1000::1]/"],
  [`https://example.com/${"a".repeat(LENGTH - 20)}`, `https://example.com/${"a".repeat(LENGTH - 20)}`],
];

/** Let in by `ALLOW_INSECURE_URLS`: http, and loopback hosts. */
export const INSECURE: readonly string[] = [
  ...["http://example.com/", "http://localhost:8787/", "https://localhost/", "http://hub.localhost:1/"],
  ...[
    "http://127.0.0.1:22/a.png",
    "http://127.1/",
    "http://2130706433/",
    "http://[::1]:9/",
    "https://8.8.8.8/",
  ],
];

/** Not even let in by it. */
export const NEVER: readonly string[] = [
  ...[
    "http://10.0.0.1/",
    "http://169.254.169.254/",
    "http://metadata/",
    "http://192.168.1.1/",
    "http://[fe80::1]/",
  ],
  ...[
    "http://user@localhost/",
    "ftp://localhost/",
    "http://localhost./",
    "http://0.0.0.0/",
    "http://example.com:22/",
  ],
  ...["http://[::ffff:127.0.0.1]/", "http://printer.local/", "http://localhost.evil.internal/"],
];
