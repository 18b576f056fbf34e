"""Made-up secrets and personal data in the places where real ones stand: what the detectors are measured with.

Every form is told here a second time, from what its provider's documentation shows, as a template that says how long each part is and of
which characters; a mistake in the detectors' own table is not repeated by it. Nothing here was ever given out: all of it comes from a
seeded generator.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "w": string.ascii_letters + string.digits + "_-",
    "b": string.ascii_letters + string.digits + "+/",
    "h": "0123456789abcdef",
    "l": string.ascii_lowercase + string.digits,
    "u": string.ascii_uppercase + string.digits,
    "d": string.digits,
    "t": "abcdefghijklmnopqrstuvwxyz234567",
    "T": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "p": string.ascii_letters + string.digits + "!@#$%^&*-_+=",
}
_PART = re.compile(r"<([awbhludtTp])(\d+)>|<(uuid|jwt|id)>")


def made(template: str, seed: random.Random) -> str:
    """`<a36>` is 36 letters and digits; `<uuid>` and `<jwt>` are what they say, `<id>` a number of 18 digits in base64."""

    def part(found: re.Match[str]) -> str:
        if found[3] == "uuid":
            return str(uuid.UUID(int=seed.getrandbits(128), version=4))
        if found[3] == "jwt":
            return _jwt(seed)
        if found[3] == "id":
            return base64.b64encode(made("1<d17>", seed).encode()).decode()
        return "".join(seed.choice(ALPHABETS[found[1]]) for _ in range(int(found[2])))

    return _PART.sub(part, template)


def _jwt(seed: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": made("<d10>", seed), "jti": made("<h16>", seed), "exp": 1900000000})
    said = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*said, made("<w43>", seed)])


KEYS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("sk-ant-api03-<w93>AA", "sk-ant-oat01-<w93>AA", "sk-ant-admin01-<w93>AA"),
    "openai": ("sk-proj-<w74>T3BlbkFJ<w74>", "sk-svcacct-<w58>T3BlbkFJ<w58>", "sk-admin-<w58>T3BlbkFJ<w58>"),
    "openrouter": ("sk-or-v1-<h64>",),
    "langfuse": ("sk-lf-<uuid>",),
    "helicone": ("sk-helicone-<l7>-<l7>-<l7>-<l7>",),
    "openai_and_likes": ("sk-<a20>T3BlbkFJ<a20>", "sk-<h32>", "sk-<a48>"),
    "tollhouse": ("th_<a8>_<a43>",),
    "hugging_face": ("hf_<a34>",),
    "hugging_face_organisation": ("api_org_<a34>",),
    "groq": ("gsk_<a52>",),
    "xai": ("xai-<a80>",),
    "perplexity": ("pplx-<a48>",),
    "replicate": ("r8_<a37>",),
    "fireworks": ("fw_<a24>",),
    "cerebras": ("csk-<l48>",),
    "nvidia": ("nvapi-<w64>",),
    "together": ("tgp_v1_<w43>",),
    "langsmith": ("lsv2_pt_<h32>_<h10>", "lsv2_sk_<h32>_<h10>"),
    "langsmith_old": ("ls__<h32>",),
    "elevenlabs": ("sk_<h48>",),
    "tavily": ("tvly-<a32>", "tvly-dev-<a32>"),
    "firecrawl": ("fc-<h32>",),
    "jina": ("jina_<h32><a28>",),
    "pinecone": ("pcsk_<a6>_<a63>",),
    "voyage": ("pa-<a43>",),
    "e2b": ("e2b_<h40>",),
    "cursor": ("key_<h64>",),
    "friendli": ("flp_<a46>",),
    "apify": ("apify_api_<a36>",),
    "browserbase": ("bb_live_<a27>",),
    "aws_access_key": ("AKIA<T16>", "ASIA<T16>", "ABIA<T16>", "ACCA<T16>"),
    "aws_bedrock": ("ABSK<b128>=",),
    "aws_bedrock_short": ("bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t<b120>",),
    "google_api": ("AIza<w35>",),
    "google_access": ("ya29.<w120>",),
    "google_refresh": ("1//0<a1><w60>",),
    "google_client": ("GOCSPX-<w28>",),
    "azure_sas": ("sig=<a43>%3D", "sig=<a20>%2B<a22>%3D"),
    "alibaba": ("LTAI<a20>",),
    "tencent": ("AKID<a32>",),
    "volcengine": ("AKLT<a43>",),
    "yandex_api": ("AQVN<w35>",),
    "yandex_static": ("YC<a38>",),
    "yandex_iam": ("t1.<a80>.<a86>",),
    "digitalocean": ("dop_v1_<h64>", "doo_v1_<h64>", "dor_v1_<h64>"),
    "heroku": ("HRKU-<uuid>", "HRKU-AA<w58>"),
    "cloudflare_origin": ("v1.0-<h24>-<h146>",),
    "netlify": ("nfp_<a36>",),
    "fly": ("fo1_<w43>",),
    "fly_macaroon": ("fm2_<b150>", "fm1r_<b100>"),
    "render": ("rnd_<a28>",),
    "supabase": ("sbp_<h40>",),
    "supabase_secret": ("sb_secret_<w22>_<a8>",),
    "planetscale": ("pscale_tkn_<w43>", "pscale_pw_<w43>", "pscale_oauth_<w43>"),
    "neon": ("napi_<l64>",),
    "mongodb_atlas": ("mdb_sa_sk_<w40>",),
    "databricks": ("dapi<h32>", "dapi<h32>-2"),
    "tailscale": ("tskey-auth-<a11>CNTRL-<a32>", "tskey-api-<a11>CNTRL-<a32>"),
    "openshift": ("sha256~<w43>",),
    "scalingo": ("tk-us-<w48>",),
    "confluent": ("cflt<b60>",),
    "github": ("ghp_<a36>", "gho_<a36>", "ghu_<a36>", "ghs_<a36>", "ghr_<a76>"),
    "github_fine_grained": ("github_pat_<a22>_<a59>",),
    "gitlab": (
        *("glpat-<w20>", "gldt-<w20>", "glrt-<w20>", "glptt-<h40>", "glft-<w20>", "glimt-<w25>", "glagent-<w50>", "glsoat-<w20>"),
        *("gloas-<h64>", "glcbt-<h2>_<w20>", "glffct-<w20>", "glpat-<w27>.01.<l9>"),
    ),
    "gitlab_runner": ("GR1348941<w20>",),
    "bitbucket": ("ATBB<a32>",),
    "bitbucket_server": ("BBDC-<a44>",),
    "npm": ("npm_<a36>",),
    "pypi": ("pypi-AgEIcHlwaS5vcmc<w120>",),
    "rubygems": ("rubygems_<h48>",),
    "crates": ("cio<a32>",),
    "nuget": ("oy2<l43>",),
    "clojars": ("CLOJARS_<h60>",),
    "packagist": ("packagist_ort_<h68>", "packagist_uut_<h68>"),
    "docker": ("dckr_pat_<w27>", "dckr_oat_<w32>"),
    "artifactory": ("AKCp8<a68>",),
    "artifactory_reference": ("cmVmd<a59>",),
    "sonarqube": ("squ_<h40>", "sqp_<h40>", "sqa_<h40>"),
    "sourcegraph": ("sgp_<h40>", "sgp_<h16>_<h40>", "sgp_local_<h40>"),
    "buildkite": ("bkua_<h40>",),
    "circleci": ("CCIPAT_<a22>_<h40>", "CCIPRJ_<a22>_<h40>"),
    "octopus": ("API-<u26>",),
    "harness": ("pat.<w22>.<h24>.<a20>", "sat.<w22>.<h24>.<a20>"),
    "postman": ("PMAK-<h24>-<h34>",),
    "postman_collection": ("PMAT-<u26>",),
    "endor": ("endr+<a24>",),
    "snyk": ("snyk_uat.<h8>.<w60>", "snyk_sat.<h8>.<w60>"),
    "prefect": ("pnu_<a36>", "pnb_<a36>"),
    "dbt": ("dbtc_<w40>", "dbtu_<w40>"),
    "readme": ("rdme_<l70>",),
    "rapidapi": ("<h10>msh<h15>p1<h5>jsn<h12>",),
    "vault": ("hvs.<w91>", "hvb.<w140>", "hvs.<a24>", "hvr.<w91>"),
    "terraform": ("<a14>.atlasv1.<w67>",),
    "pulumi": ("pul-<h40>",),
    "doppler": ("dp.pt.<a43>", "dp.st.dev_main.<a43>", "dp.ct.<a43>", "dp.sa.<a43>"),
    "infisical": ("st.<h24>.<h32>.<h32>",),
    "onepassword": ("ops_eyJ<a300>",),
    "onepassword_secret_key": ("A3-<u6>-<u11>-<u5>-<u5>-<u5>", "A3-<u6>-<u6>-<u5>-<u5>-<u5>-<u5>"),
    "bitwarden": ("0.<uuid>.<a30>:<b22>==",),
    "okta": ("SSWS 00<w40>",),
    "stytch": ("secret-live-<w32>=", "secret-test-<w32>="),
    "age": ("AGE-SECRET-KEY-1<u58>",),
    "web_token": ("<jwt>",),
    "web_token_long": ("eyJhbGciOi<w400>.eyJ<w200>.<w86>", "eyJlbmMiOi<w150>.<w60>.<w16>.<w300>.<w22>"),
    "grafana": ("glc_<b80>==",),
    "grafana_service": ("glsa_<a32>_<h8>",),
    "grafana_old": ("eyJrIjoi<a80>=",),
    "new_relic": ("NRAK-<u27>",),
    "new_relic_insert": ("NRII-<w32>",),
    "new_relic_rest": ("NRRA-<h42>", "NRJS-<h19>"),
    "new_relic_license": ("<h36>NRAL",),
    "sentry_user": ("sntryu_<h64>",),
    "sentry_organisation": ("sntrys_eyJ<a120>_<b43>",),
    "dynatrace": ("dt0c01.<u24>.<u64>", "dt0s01.<u24>.<u64>"),
    "honeycomb": ("hcaik_<l58>", "hcbik_<l58>"),
    "axiom": ("xaat-<uuid>", "xapt-<uuid>"),
    "posthog": ("phx_<a43>",),
    "launchdarkly": ("sdk-<uuid>", "api-<uuid>"),
    "rootly": ("rootly_<h64>",),
    "maxmind": ("<a6>_<a29>_mmk",),
    "slack": (
        *("xoxb-<d12>-<d13>-<a24>", "xoxp-<d12>-<d12>-<d13>-<h32>", "xoxa-2-<d12>-<d12>-<a24>", "xoxs-<d12>-<d12>-<d12>-<h10>"),
    ),
    "slack_refresh": ("xoxe.xoxp-1-<a160>", "xoxe-1-<a140>"),
    "slack_app": ("xapp-1-A<u10>-<d13>-<h64>",),
    "slack_workflow": ("xwfp-<d12>-<a24>",),
    "slack_webhook": ("https://hooks.slack.com/services/T<u10>/B<u10>/<a24>", "https://hooks.slack.com/workflows/T<u10>/A<u10>/<d18>/<a24>"),
    "discord": ("<id>.<w6>.<w38>",),
    "discord_webhook": ("https://discord.com/api/webhooks/1<d18>/<w68>", "https://discordapp.com/api/webhooks/1<d17>/<w68>"),
    "teams_webhook": ("https://acme.webhook.office.com/webhookb2/<uuid>@<uuid>/IncomingWebhook/<h32>/<uuid>",),
    "telegram": ("1<d9>:AA<w33>", "1<d7>:AA<w33>"),
    "twilio": ("SK<h32>",),
    "sendgrid": ("SG.<w22>.<w43>",),
    "mailgun": ("key-<h32>",),
    "mailgun_new": ("<h32>-<h8>-<h8>",),
    "mailchimp": ("<h32>-us21", "<h32>-us6"),
    "brevo": ("xkeysib-<h64>-<a16>", "xsmtpsib-<h64>-<a16>"),
    "resend": ("re_<a8>_<a24>",),
    "onesignal": ("os_v2_app_<t103>",),
    "facebook": ("EAA<a150>", "EAAC<a180>"),
    "instagram": ("IGQV<w130>",),
    "twitter": ("A" * 22 + "<a20>%2F<a40>%3D<a26>",),
    "zapier_webhook": ("https://hooks.zapier.com/hooks/catch/<d7>/<l7>",),
    "stripe": ("sk_live_<a24>", "sk_test_<a99>", "rk_live_<a24>", "rk_test_<a99>"),
    "webhook_signature": ("whsec_<a32>", "whsec_<b43>="),
    "square": ("sq0atp-<w22>", "sq0csp-<w43>"),
    "square_access": ("EAAA<w60>",),
    "braintree": ("access_token$production$<l16>$<h32>", "access_token$sandbox$<l16>$<h32>"),
    "shopify": ("shpat_<h32>", "shpca_<h32>", "shppa_<h32>", "shpss_<h32>"),
    "plaid": ("access-sandbox-<uuid>", "access-production-<uuid>"),
    "flutterwave": ("FLWSECK-<h32>-X", "FLWSECK_TEST-<h12>"),
    "mollie": ("live_<a30>", "test_<a30>", "access_<a30>"),
    "lob": ("live_<h35>", "test_<h35>"),
    "gocardless": ("live_<w40>",),
    "duffel": ("duffel_test_<w43>", "duffel_live_<w43>"),
    "easypost": ("EZAK<a54>", "EZTK<a54>"),
    "shippo": ("shippo_live_<h40>", "shippo_test_<h40>"),
    "atlassian": ("ATATT3xFfGF0<w171>=<u8>", "ATCTT3xFfGN0<w171>=<u8>"),
    "trello": ("ATTA<h72>",),
    "linear": ("lin_api_<a40>", "lin_oauth_<h64>"),
    "notion": ("ntn_<d11><a35>",),
    "notion_old": ("secret_<a43>",),
    "figma": ("figd_<w40>",),
    "asana": ("2/<d16>/<d16>:<h32>", "1/<d16>:<h32>"),
    "clickup": ("pk_<d8>_<u32>",),
    "airtable": ("pat<a14>.<h64>",),
    "hubspot": ("pat-na1-<uuid>", "pat-eu1-<uuid>"),
    "typeform": ("tfp_<w40>_<a18>",),
    "contentful": ("CFPAT-<w43>",),
    "dropbox": ("sl.<w135>", "sl.u.<w180>"),
    "frameio": ("fio-u-<w64>",),
    "mapbox": ("sk.eyJ1<a60>.<w22>",),
    "intercom": ("dG9r<b56>",),
    "adobe": ("p8e-<a32>",),
    "settlemint": ("sm_aat_<a16>", "sm_pat_<a16>", "sm_sat_<a16>"),
    "lichess": ("lip_<a20>",),
    "azure_ai": ("<a52>JQQJ99<a26>",),
    "azure_devops": ("<a76>AZDO<a4>",),
    "azure_search": ("<a42>AzSeB<a5>",),
    "azure_functions": ("<w44>AzFu<w5>Q==",),
    "azure_redis": ("<a33>AzCaE<a5>=",),
    "azure_registry": ("<b42>+ACRB<a5>",),
    "azure_cosmos": ("<b76>ACDb<b5>Q==",),
    "azure_storage": ("<b76>+ASt<b5>w==",),
    "azure_batch": ("<b76>+ABa<b5>A==",),
    "azure_bus": ("<b33>+ASbD<b5>=",),
    "azure_events": ("<b33>+AEhC<b5>=",),
    "azure_relay": ("<b33>+ARmA<b5>=",),
    "azure_iot": ("<b33>AIoTB<b5>=",),
    "azure_client": ("<a3>8Q~<a34>",),
}
"""Keys with a form of their own, by the names of the detectors' table."""

VALUES: Mapping[str, str] = {
    "hexadecimal, 32": "<h32>",
    "hexadecimal, 40": "<h40>",
    "hexadecimal, 64": "<h64>",
    "letters and digits, 20": "<a20>",
    "letters and digits, 32": "<a32>",
    "letters and digits, 64": "<a64>",
    "base64, 40": "<b40>",
    "base64, 88": "<b86>==",
    "UUID": "<uuid>",
    "password, 12": "<p10>7k",
    "password, 20": "<p18>Q4",
}
"""What secrets without a form of their own look like."""
NAMES: Mapping[str, str] = {
    ".env": "DB_HOST=db\nAPP_PASSWORD={}\nPORT=1\n",
    ".env, quoted": 'export TWILIO_AUTH_TOKEN="{}"\n',
    "aws credentials": "[default]\naws_secret_access_key = {}\nregion = eu-central-1\n",
    "json": '{{"user": "ann", "client_secret": "{}", "n": 1}}',
    "json in json": '{{"arguments": "{{\\"api_key\\": \\"{}\\"}}"}}',
    "yaml": "db:\n  password: {}\n  port: 5432\n",
    "yaml, quoted": "    datadog_api_key: '{}'\n",
    "python": 'client = Client(token="{}", timeout=3)\n',
    "a lookup": 'os.environ.setdefault("CLOUDFLARE_API_TOKEN", "{}")\n',
    "javascript": "const apiKey = '{}';\n",
    "go": 'secretKey := "{}"\n',
    "ruby": "config.secret_key_base => '{}'\n",
    "toml": 'private_key = "{}"\n',
    "xml": "<user>ann</user><password>{}</password>",
    "header": "GET / HTTP/1.1\r\nX-Api-Key: {}\r\nHost: x\r\n",
    "bearer": "curl -H 'Authorization: Bearer {}' https://api.example.com",
    "basic": "Authorization: Basic {}\n",
    "address": "https://api.example.com/v1?access_token={}&page=2",
    "connection string": "Server=db;Database=app;User Id=sa;Password={};Encrypt=yes",
    "azure storage": "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core.windows.net",
    "markdown": "- **API key:** `{}`\n",
    "table": "| name | value |\n| auth_token | {} |\n",
    "prose": "As agreed, the password is {} and the user is ann.",
    "log": "2026-11-20T10:30:44Z INFO login user=ann secret={} ok",
    "command": "mysql --user ann --password {} app",
}
"""Where a name tells what a value is."""
ADDRESSES: Mapping[str, str] = {
    "postgres": "postgres://app:{}@db.internal:5432/app",
    "mongodb": "mongodb+srv://app:{}@cluster0.mongodb.net/test",
    "redis": "REDIS_URL=redis://:{}@cache:6379/0",
    "amqp": '{{"broker": "amqps://svc:{}@mq.example.com/vhost"}}',
    "https": "git clone https://ann:{}@git.example.com/x.git",
    "curl": "curl -u ann:{} https://api.example.com/",
}
PASSWORDS = ("<l12>", "<a16>", "<h32>", "correct<l4>", "Tr0ub4dor<d2>")

AROUND: Mapping[str, str] = {
    "alone": "{}",
    "prose": "Hello Ann, take {} for the upload, and tell nobody.",
    "end of a sentence": "It is {}. Thanks!",
    "quoted": 'she said "{}" twice',
    "json": '{{"n": 1, "value": "{}", "ok": true}}',
    "json in json": '{{"body": "{{\\"v\\": \\"{}\\"}}"}}',
    "line of json": '{{"text": "first\\n{}\\nlast"}}',
    ".env": "A=1\nVALUE={}\nB=2\n",
    "python": "use(first, '{}', last)\n",
    "yaml": "items:\n  - {}\n  - other\n",
    "markdown": "| what | it |\n|---|---|\n| x | `{}` |\n",
    "xml": "<a><b>{}</b></a>",
    "address": "see https://example.com/x?q={}&page=2 for it",
    "address, encoded": "see https://example.com/x?next=%2Fy%3Fq%3D{}&page=2",
    "log": "2026-11-20T10:30:44Z WARN worker[12] got {} from 10.0.0.1",
    "csv": "ann,{},2026\n",
    "other scripts": "键是{}，谢谢。Ключ «{}» é",
}
"""Where nothing tells what a value is but its form."""


class Planted(NamedTuple):
    kind: str
    """What was planted, for the table: a form, or what stands in place of one."""
    place: str
    text: str
    secret: str
    """What must not be seen any more; stands in the text once or more."""


def keys(seed: random.Random) -> Iterator[Planted]:
    """Each form in each place."""
    for kind, templates in KEYS.items():
        for place, around in AROUND.items():
            for template in templates:
                yield _in(kind, place, around, made(template, seed))


def named(seed: random.Random) -> Iterator[Planted]:
    """Each kind of value under each name."""
    for place, around in NAMES.items():
        for template in VALUES.values():
            yield _in(f"named: {place}", place, around, made(template, seed))
    for place, around in ADDRESSES.items():
        for template in PASSWORDS:
            yield _in("password in an address", place, around, made(template, seed))


def private_keys(seed: random.Random) -> Iterator[Planted]:
    for kind in (*(f"{own}PRIVATE KEY" for own in ("RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED ")), "PGP PRIVATE KEY BLOCK"):
        lines = [f"-----BEGIN {kind}-----", *(made("<b64>", seed) for _ in range(12)), made("<b30>==", seed), f"-----END {kind}-----"]
        for place, around in AROUND.items():
            joint = "\\n" if "json" in place else "\n"
            yield _in("private key", place, around, joint.join(lines))


def _in(kind: str, place: str, around: str, secret: str) -> Planted:
    return Planted(kind, place, around.format(*[secret] * 2), secret)


def secrets(seed: int = 1) -> list[Planted]:
    own = random.Random(seed)
    return [*keys(own), *named(own), *private_keys(own)]


def one_of_each(seed: int = 1) -> dict[str, str]:
    """A key of each form."""
    own = random.Random(seed)
    return {kind: made(templates[0], own) for kind, templates in KEYS.items()}


# -- personal data -----------------------------------------------------------------------------------------------------


def luhn_digit(digits: str) -> str:
    """The check digit that payment cards and others end with (ISO/IEC 7812)."""
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def card(seed: random.Random) -> str:
    beginning = seed.choice(["4", "51", "55", "2221", "2720", "34", "37", "6011", "3528"])
    length = 15 if beginning in ("34", "37") else 16
    number = made(f"{beginning}<d{length - len(beginning) - 1}>", seed)
    number += luhn_digit(number)
    groups = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    return seed.choice(["", " ", "-", "\u00a0"]).join(_grouped(number, groups))


def _grouped(number: str, groups: tuple[int, ...]) -> list[str]:
    return [number[sum(groups[:at]) : sum(groups[: at + 1])] for at in range(len(groups))]


ACCOUNTS = {
    "DE": "<d18>", "GB": "<u4><d14>", "FR": "<d10><u11><d2>", "NL": "<u4><d10>", "ES": "<d20>",
    "CH": "<d5><u12>", "NO": "<d11>", "MT": "<u4><d5><u18>",
}


def iban(seed: random.Random) -> str:
    country = seed.choice(sorted(ACCOUNTS))
    account = made(ACCOUNTS[country], seed)
    number = int("".join(str(int(sign, 36)) for sign in f"{account}{country}00"))
    whole = f"{country}{98 - number % 97:02}{account}"
    return seed.choice([whole, whole.lower(), " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))])


FIRST = ("ann", "jörg", "maria", "li", "omar", "zoë", "petr", "nguyen", "o'neil", "x")
LAST = ("smith", "müller", "garcia", "wang", "haddad", "novák", "van-dijk", "tran", "99", "doe")
DOMAINS = ("example.com", "mail.example.co.uk", "müller.de", "sub.example.museum", "x-y.org", "gmail.com", "corp.internal.example.net")


def email(seed: random.Random) -> str:
    return f"{seed.choice(FIRST)}{seed.choice(['.', '_', '+', '-', ''])}{seed.choice(LAST)}@{seed.choice(DOMAINS)}"


PHONES = (
    *("+49 30 <d7>", "+49 (0)171 2<d6>", "+1 (415) 555-0<d3>", "+1415555<d4>", "+44 20 7946 0<d3>", "+33 6 12 <d2> <d2> <d2>"),
    *("(415) 555-2<d3>", "415-555-2<d3>", "415.555.2<d3>", "1-800-555-0<d3>", "06 12 <d2> <d2> 78", "06.12.<d2>.<d2>.78"),
    *("030 12<d5>", "+91 98765 <d5>", "0171/123<d4>", "020 7946 0<d3>", "(020) 7946 0<d3>", "0049 30 12<d5>", "+81-3-12<d2>-5<d3>"),
    *("+55 11 9<d4>-<d4>", "+86 138 0013 8<d3>"),
)


def phone(seed: random.Random) -> str:
    return made(seed.choice(PHONES), seed)


def ssn(seed: random.Random) -> str:
    joint = seed.choice(["-", " "])
    area = seed.choice([number for number in range(1, 900) if number != 666])
    return f"{area:03}{joint}{seed.randint(1, 99):02}{joint}{seed.randint(1, 9999):04}"


def _with(seed: random.Random, template: str, check: Callable[[str], str | None]) -> str:
    """A number of this form whose check can be written: some cannot (a rest of ten), and then another one is drawn."""
    while True:
        number = made(template, seed)
        whole = check(number)
        if whole is not None:
            return whole


def _day(seed: random.Random) -> str:
    return f"{seed.randint(0, 99):02}{seed.randint(1, 12):02}{seed.randint(1, 28):02}"


def _sum(number: str, weights: str) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(number, weights, strict=True))


def bsn(seed: random.Random) -> str:
    def check(first: str) -> str | None:
        rest = _sum(first, "98765432") % 11
        return f"{first}{rest}" if rest < 10 else None

    return _with(seed, "<d8>", check)


def cpf(seed: random.Random) -> str:
    first = made("<d9>", seed)
    for weights in (range(10, 1, -1), range(11, 1, -1)):
        first += str(sum(int(digit) * weight for digit, weight in zip(first, weights, strict=True)) * 10 % 11 % 10)
    return seed.choice([first, f"{first[:3]}.{first[3:6]}.{first[6:9]}-{first[9:]}"])


def pesel(seed: random.Random) -> str:
    first = _day(seed) + made("<d4>", seed)
    return first + str(-_sum(first, "1379137913") % 10)


def personnummer(seed: random.Random) -> str:
    day, serial = _day(seed), made("<d3>", seed)
    return f"{day}{seed.choice(['-', ''])}{serial}{luhn_digit(day + serial)}"


def dni(seed: random.Random) -> str:
    number = made("<d8>", seed)
    return f"{number}{seed.choice(['', '-'])}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(number) % 23]}"


def nir(seed: random.Random) -> str:
    first = f"{seed.choice('12')}{seed.randint(0, 99):02}{seed.randint(1, 12):02}{seed.randint(1, 95):02}{made('<d6>', seed)}"
    whole = f"{first}{97 - int(first) % 97:02}"
    return seed.choice([whole, " ".join(_grouped(whole, (1, 2, 2, 2, 3, 3, 2)))])


def tax_id(seed: random.Random) -> str:
    """Germany's: one digit of the first ten comes twice."""
    digits = seed.sample("0123456789", 9)
    digits.insert(seed.randint(0, 9), seed.choice(digits))
    first = "".join(digits)
    if first[0] == "0":
        return tax_id(seed)
    whole = first + next(check for check in "0123456789" if _iso_7064(first + check))
    return seed.choice([whole, " ".join(_grouped(whole, (2, 3, 3, 3)))])


def _iso_7064(number: str) -> bool:
    product = 10
    for digit in number[:-1]:
        product = (int(digit) + product) % 10 or 10
        product = product * 2 % 11
    return (product + int(number[-1])) % 10 == 1


def nino(seed: random.Random) -> str:
    first = made(f"{seed.choice(['AB', 'JG', 'WK', 'ZR'])}<d6>", seed) + seed.choice("ABCD")
    return seed.choice([first, " ".join(_grouped(first, (2, 2, 2, 2, 1)))])


NATIONAL: Mapping[str, Callable[[random.Random], str]] = {
    "br": cpf, "de": tax_id, "es": dni, "fr": nir, "gb": nino, "nl": bsn, "pl": pesel, "se": personnummer,
}
"""Numbers of states, by ISO 3166's code. Those of other countries are in the detector's own tests."""
PERSONAL: Mapping[str, Callable[[random.Random], str]] = {"card": card, "iban": iban, "email": email, "phone": phone, "ssn": ssn}


def personal(seed: int = 1, each: int = 20) -> list[Planted]:
    """So many of each kind in each place where they can stand; in an address, spaces would be written as signs."""
    own = random.Random(seed)
    places = {place: around for place, around in AROUND.items() if "address" not in place}
    kinds = {**PERSONAL, **{f"national_id: {country}": make for country, make in NATIONAL.items()}}
    return [_in(kind, place, around, make(own)) for kind, make in kinds.items() for place, around in places.items() for _ in range(each)]
