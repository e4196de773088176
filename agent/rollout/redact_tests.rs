//! What is taken for a secret, and what is not.

use super::*;

pub(super) fn redactor() -> Redactor {
    Redactor::new(&BTreeMap::new())
}

pub(super) fn with(variables: &[(&str, &str)]) -> Redactor {
    let pairs = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Redactor::new(&pairs.collect())
}

/// A body of a token: letters and digits, the same each time.
fn body(length: usize) -> String {
    "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
        .chars()
        .cycle()
        .take(length)
        .collect()
}

fn capitals(length: usize) -> String {
    "Q7WERTY2UIOP5ASDF8GH".chars().cycle().take(length).collect()
}

const WEB_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn tokens_of_known_services_are_found_wherever_they_stand() {
    let cases = [
        (format!("AKIA{}", capitals(16)), "AWS key id"),
        (format!("ASIA{}", capitals(16)), "AWS key id"),
        (format!("ghp_{}", body(36)), "GitHub token"),
        (format!("gho_{}", body(36)), "GitHub token"),
        (format!("ghs_{}", body(36)), "GitHub token"),
        (format!("github_pat_{}_{}", body(22), body(59)), "GitHub token"),
        (format!("glpat-{}", body(20)), "GitLab token"),
        (format!("glrt-{}", body(20)), "GitLab token"),
        (
            format!("xoxb-123456789012-1234567890123-{}", body(24)),
            "Slack token",
        ),
        (
            format!("xapp-1-A0123456789-1234567890123-{}", body(40)),
            "Slack token",
        ),
        (
            format!("hooks.slack.com/services/T0{0}/B0{0}/{1}", capitals(8), body(24)),
            "Slack webhook",
        ),
        (format!("AIza{}", body(35)), "Google key"),
        (format!("GOCSPX-{}", body(28)), "Google client secret"),
        (format!("ya29.{}", body(60)), "Google token"),
        (format!("sk-{}", body(48)), "OpenAI key"),
        (format!("sk-proj-{}_{}", body(30), body(30)), "OpenAI key"),
        (
            format!("sk-ant-api03-{}-{}AA", body(50), body(40)),
            "Anthropic key",
        ),
        (format!("sk_live_{}", body(24)), "Stripe key"),
        (format!("rk_test_{}", body(24)), "Stripe key"),
        (format!("npm_{}", body(36)), "npm token"),
        (format!("pypi-AgEIcHlwaS5vcmc{}", body(60)), "PyPI token"),
        (format!("hf_{}", body(34)), "Hugging Face token"),
        (WEB_TOKEN.to_owned(), "JSON web token"),
    ];
    for (secret, kind) in cases {
        let mark = format!("[redacted: {kind}]");
        for (before, after) in [
            ("", ""),
            ("the key is ", "."),
            ("x = \"", "\"\n"),
            ("curl -u ", " https://example.com/\n"),
            ("password = '", "'"),
            ("TOKEN=", "\n"),
            ("Authorization: Bearer ", "\r\n"),
            ("(", ")"),
            ("{\"text\":\"\\\"", "\\\"\"}"),
            ("ключ:", " конец"),
        ] {
            let text = format!("{before}{secret}{after}");
            let expected = format!("{before}{mark}{after}");
            assert_eq!(redactor().redact(&text), expected, "{text}");
        }
    }
}

#[test]
fn what_only_begins_like_a_token_stays() {
    for text in [
        "ghp_short",
        "the ghp_ prefix",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIAXXXXXXXXXXXXXXXX",
        "AKIA0123456789ABCDEFGHIJKLMNOP",
        "MAKIAABCDEFGHIJKLMNO1",
        "npm_config_registry_and_more_words_that_follow_it",
        "npm_lifecycle_event",
        "task-force-and-others-in-a-long-kebab-name",
        ".sk-circle-fade-dot, .sk-cube-grid { color: red }",
        "sk-learn-contrib",
        "hf_hub_download(repo_id)",
        "pypi-simple-index-of-all-the-packages",
        "SG.short",
        "eyJhbGciOiJIUzI1NiJ9",
        "keyJ.eyJ.x",
        "xoxb-your-token-here",
        "risk_live_abcdefghijklmnopq",
    ] {
        assert_eq!(redactor().redact(text), text);
    }
}

#[test]
fn values_assigned_to_secret_names_are_found() {
    for (text, expected) in [
        ("password = \"S3cr3t!pass\"", "password = \"[redacted: secret]\""),
        ("password='hunter2hunter3'", "password='[redacted: secret]'"),
        (
            "    'PASSWORD': 'Zx9#kLm2pQ',",
            "    'PASSWORD': '[redacted: secret]',",
        ),
        (
            "{\"db_password\": \"Zx9kLm2pQ!\"}",
            "{\"db_password\": \"[redacted: secret]\"}",
        ),
        (
            "{\\\"password\\\": \\\"Zx9kLm2pQ!\\\"}",
            "{\\\"password\\\": \\\"[redacted: secret]\\\"}",
        ),
        (
            "os.environ[\"DB_PASSWORD\"] = \"Zx9kLm2pQ!\"",
            "os.environ[\"DB_PASSWORD\"] = \"[redacted: secret]\"",
        ),
        (
            "password: str = \"Zx9kLm2pQ!\"",
            "password: str = \"[redacted: secret]\"",
        ),
        (
            "const DB_PASSWORD: &'static str = \"Zx9kLm2pQ!\";",
            "const DB_PASSWORD: &'static str = \"[redacted: secret]\";",
        ),
        (
            "clientSecret := \"4f9a8b7c6d5e4f3a2b1c\"",
            "clientSecret := \"[redacted: secret]\"",
        ),
        (":password => 'Zx9kLm2pQ!'", ":password => '[redacted: secret]'"),
        (
            "if password == \"Zx9kLm2pQ!\":",
            "if password == \"[redacted: secret]\":",
        ),
        (
            "login(password=b\"Zx9kLm2pQ!\")",
            "login(password=b\"[redacted: secret]\")",
        ),
        (
            "DB_PASSWORD=Zx9#kLm2pQ\nDB_HOST=db",
            "DB_PASSWORD=[redacted: secret]\nDB_HOST=db",
        ),
        (
            "export API_TOKEN=9f8e7d6c5b4a39281706f5e4d3c2b1a0\n",
            "export API_TOKEN=[redacted: secret]\n",
        ),
        (
            "token: 9f8e7d6c5b4a39281706f5e4d3c2b1a0",
            "token: [redacted: secret]",
        ),
        ("  password: Zx9#kLm2pQ\n", "  password: [redacted: secret]\n"),
        (
            "api_key = \"9f8e7d6c5b4a39281706f5e4d3c2b1a0\"",
            "api_key = \"[redacted: secret]\"",
        ),
        ("apiKey: '7Gh2kL9mQx4Tz8Wn3Rb6'", "apiKey: '[redacted: secret]'"),
        (
            "aws_secret_access_key = wJalrXUtnF3MI/K7MD3NG/bPxRfiCY9vKq2LmT8z",
            "aws_secret_access_key = [redacted: secret]",
        ),
        (
            "AccountKey=7Gh2kL9mQx4Tz8Wn3Rb67Gh2kL9mQx4Tz8Wn3Rb6==;EndpointSuffix",
            "AccountKey=[redacted: secret];EndpointSuffix",
        ),
        (
            "<password>Zx9kLm2pQ!</password>",
            "<password>[redacted: secret]</password>",
        ),
        (
            "mysql --password Zx9kLm2pQ! -u me",
            "mysql --password [redacted: secret] -u me",
        ),
        (
            "mysql --password=7Gh2kL9mQx4Tz8Wn3Rb6 -u me",
            "mysql --password=[redacted: secret] -u me",
        ),
        (
            "https://h/p?access_token=9f8e7d6c5b4a39281706f5e4d3c2b1a0&x=1",
            "https://h/p?access_token=[redacted: secret]&x=1",
        ),
        (
            "X-Api-Key: 7Gh2kL9mQx4Tz8Wn3Rb6\r\n",
            "X-Api-Key: [redacted: secret]\r\n",
        ),
        (
            "Heslo: x; password='žluťoučký9kůň!'",
            "Heslo: x; password='[redacted: secret]'",
        ),
    ] {
        assert_eq!(redactor().redact(text), expected, "{text}");
    }
}

#[test]
fn addresses_and_headers_lose_their_credentials_alone() {
    for (text, expected) in [
        (
            "postgres://app:Zx9kLm2pQ@db.example.com/app",
            "postgres://app:[redacted: secret]@db.example.com/app",
        ),
        (
            "DATABASE_URL=mysql://root:1234@127.0.0.1:3306/x",
            "DATABASE_URL=mysql://root:[redacted: secret]@127.0.0.1:3306/x",
        ),
        (
            "redis://:p4ssw0rd9x@cache:6379/0",
            "redis://:[redacted: secret]@cache:6379/0",
        ),
        (
            "https://7Gh2kL9mQx4Tz8Wn3Rb6@git.example.com/x.git",
            "https://[redacted: secret]@git.example.com/x.git",
        ),
        ("amqp://u:a@b9c!d@host/", "amqp://u:[redacted: secret]@host/"),
        (
            "Authorization: Basic dXNlcjpwYXNzd29yZDE=",
            "Authorization: Basic [redacted: secret]",
        ),
        (
            "authorization: bearer 7Gh2kL9mQx4Tz8Wn3Rb6",
            "authorization: bearer [redacted: secret]",
        ),
        (
            "-H 'Authorization: token 7Gh2kL9mQx4Tz8Wn'",
            "-H 'Authorization: token [redacted: secret]'",
        ),
        (
            "{\"Authorization\": \"Bearer 7Gh2kL9mQx4Tz8Wn\"}",
            "{\"Authorization\": \"Bearer [redacted: secret]\"}",
        ),
        (
            "(\"Auth\", \"Bearer 7Gh2kL9mQx4Tz8Wn3Rb6\")",
            "(\"Auth\", \"Bearer [redacted: secret]\")",
        ),
    ] {
        assert_eq!(redactor().redact(text), expected, "{text}");
    }
}

/// A key's armour is put together here, so that this file holds none itself.
fn key(kind: &str, join: &str) -> String {
    let dashes = "-----";
    let line = body(64);
    [
        format!("{dashes}BEGIN {kind}{dashes}"),
        line.clone(),
        line,
        "Qx4Tz8Wn3R==".to_owned(),
        format!("{dashes}END {kind}{dashes}"),
    ]
    .join(join)
}

#[test]
fn private_keys_are_found_in_files_in_code_and_cut_off() {
    let mark = "[redacted: private key]";
    for kind in [
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        for join in ["\n", "\r\n", "\\n", "\\n\" +\n    \"", "\n        "] {
            let text = format!("a\n{}\nb", key(kind, join));
            assert_eq!(redactor().redact(&text), format!("a\n{mark}\nb"), "{text}");
        }
    }
    let armoured = key("PGP PRIVATE KEY BLOCK", "\n").replace("==\n", "==\n=Ab3d\n");
    assert_eq!(redactor().redact(&armoured), mark);
    let headed = key("RSA PRIVATE KEY", "\n").replace(
        "-----\na1",
        "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\n\na1",
    );
    assert_eq!(redactor().redact(&headed), mark);
    let cut = key("RSA PRIVATE KEY", "\n");
    let (cut, _) = cut.split_at(130);
    assert_eq!(
        redactor().redact(&format!("{cut}\n[9 lines left out]")),
        format!("{mark}\n[9 lines left out]")
    );
    for join in ["\n", "\r\n", "\\n", "\\n\" +\n    \"", "\n        "] {
        let whole = key("RSA PRIVATE KEY", join);
        let (_, headless) = whole.split_once(join).unwrap();
        let text = format!("[9 lines left out]\n{headless}\nb");
        let expected = format!("[9 lines left out]\n{mark}\nb");
        assert_eq!(redactor().redact(&text), expected, "{text}");
        assert_eq!(redactor().redact(headless.split_at(50).1), mark, "{text}");
        let two = format!("{whole}\n...\n{headless}\n{whole}");
        assert_eq!(redactor().redact(&two), format!("{mark}\n...\n{mark}\n{mark}"));
    }
    let certificate = key("CERTIFICATE", "\n");
    let (_, certificate) = certificate.split_at(40);
    assert_eq!(redactor().redact(certificate), certificate);
    for text in [
        "if '-----BEGIN RSA PRIVATE KEY-----' in text and '-----END RSA PRIVATE KEY-----' in text:"
            .to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----".to_owned(),
        key("CERTIFICATE", "\n"),
        key("PUBLIC KEY", "\n"),
    ] {
        assert_eq!(redactor().redact(&text), text);
    }
}

#[test]
fn ordinary_code_stays_as_it_is() {
    for text in [
        "token = tokenizer.next()",
        "token = self.tokens2[0]",
        "token = next_token2",
        "password: str",
        "password: Optional[str] = None",
        "password: string;",
        "secret: SecretStr",
        "token: Uint8Array",
        "token: Base64UrlString2,",
        "let secret = Secret::new(value);",
        "password = getpass.getpass(\"Password: \")",
        "password = os.environ[\"DB_PASSWORD\"]",
        "password = \"password\"",
        "password = 'changeme'",
        "password = \"password123\"",
        "PASSWORD=changeme\n",
        "token = 'test-token'",
        "token = \"my-secret-token-1\"",
        "api_key=\"your-api-key-here\"",
        "api_key = \"<YOUR_API_KEY>\"",
        "api_key: ${{ secrets.API_KEY2 }}",
        "password: {{ vault_password1 }}",
        "password=$DB_PASSWORD1",
        "password=\"${DB_PASSWORD1}\"",
        "token=f\"{prefix1}-{suffix2}\"",
        "{\"password\": \"The password is required, at least 8 characters\"}",
        "raise ValueError('password: must have 8 characters')",
        "max_tokens = 131072000",
        "{\"token\": \"keyword2\", \"secret\": \"hidden\"}",
        "TOKEN_URL = \"https://example.com/oauth2/token\"",
        "secret_name = \"prod/db2/password\"",
        "password_field = \"user_password1\"",
        "<input type=\"password\" name=\"pass1\">",
        "assert token == expected_token2",
        "csrf_token = request.POST.get('csrfmiddlewaretoken2')",
        "access_token = response.json()['access_token']",
        "checksum = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        "\"integrity\": \"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\"",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "id = uuid.UUID(\"550e8400-e29b-41d4-a716-446655440000\")",
        "index 83db48f..bf269f4 100644",
        "commit 1a410efbd13591db07496601ebc7a059dd55cfe9",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
        "FIXTURE = b\"aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=\"",
        "https://example.com:8080/path?user=me@example.com",
        "git clone ssh://git@github.com:22/a/b.git",
        "https://user:password@example.com/",
        "https://{user}:{password}@{host}/",
        "https://$USER:$PASS@example.com/",
        "postgres://postgres:postgres@localhost/test",
        "headers = {\"Authorization\": f\"Bearer {token}\"}",
        "headers = {\"Authorization\": \"Bearer \" + token}",
        "-H \"Authorization: Bearer $TOKEN1\"",
        "Authorization: Bearer <token1>",
        "the bearer of this letter",
        "class AuthorizationMiddleware2(Middleware2): pass",
        "from authorization import check_permission2",
        "let x: HashMap<Token, Vec<u8>> = HashMap::new();",
        "fn secret(&self) -> &str { &self.secret2 }",
        "[redacted: secret]",
        "password = \"[redacted: secret]\"",
        "",
    ] {
        assert_eq!(redactor().redact(text), text);
        assert!(matches!(redactor().redact(text), Cow::Borrowed(_)), "{text}");
    }
}

/// The files of this repository are ordinary code; those that speak of tokens most are among them.
#[test]
fn the_programs_own_sources_hold_no_secret() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    for file in [
        "agent/rollout/redact.rs",
        "agent/rollout/redact/context.rs",
        "agent/rollout/redact/random.rs",
        "agent/rollout/redact/tokens.rs",
        "agent/rollout/redact/keys.rs",
        "runtime/text/tokenizer.rs",
        "runtime/text/template.rs",
        "runtime/engine/sampling.rs",
        "tools/workspace/secrets.rs",
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "docs/sandbox.md",
        "docs/json-events.md",
    ] {
        let text = std::fs::read_to_string(format!("{root}{file}")).unwrap();
        let redacted = redactor().redact(&text).into_owned();
        for (was, is) in text.lines().zip(redacted.lines()) {
            assert_eq!(was, is, "{file}");
        }
    }
}

#[test]
fn values_of_secret_variables_are_found_anywhere() {
    let redactor = with(&[
        ("DEPLOY_TOKEN", "plain words here"),
        ("DB_PASSWORD", "kumquat-orange"),
        ("MY_API_KEY", "kumquat-orange-pie"),
        ("GITHUB_TOKEN", "ghp_a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"),
        ("SHORT_TOKEN", "seven77"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("PATH", "/usr/local/bin"),
        ("PWD", "/home/ada/project"),
        ("SSH_AUTH_SOCK", "/run/user/1000/keyring"),
        ("KEY_FILE", "/home/ada/key.pem"),
        ("PUBLIC_KEY", "public-knowledge"),
        ("TOKENIZERS_PARALLELISM", "false-or-true"),
        ("EMPTY_TOKEN", ""),
        ("EDITOR", "very-long-editor-name"),
    ]);
    for (text, expected) in [
        (
            "say plain words here twice: plain words here",
            "say [redacted: value of DEPLOY_TOKEN] twice: [redacted: value of DEPLOY_TOKEN]",
        ),
        ("xkumquat-orangex", "x[redacted: value of DB_PASSWORD]x"),
        ("kumquat-orange-pie", "[redacted: value of MY_API_KEY]"),
        (
            "ghp_a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ",
            "[redacted: value of GITHUB_TOKEN]",
        ),
        (
            "password='kumquat-orange'",
            "password='[redacted: value of DB_PASSWORD]'",
        ),
    ] {
        assert_eq!(redactor.redact(text), expected, "{text}");
    }
    for text in [
        "seven77 postgres /usr/local/bin /home/ada/project /run/user/1000/keyring /home/ada/key.pem",
        "public-knowledge false-or-true very-long-editor-name",
    ] {
        assert_eq!(redactor.redact(text), text);
    }
}

#[test]
fn values_of_secret_variables_are_found_within_json() {
    let value = "quote\"back\\slash\tend";
    let redactor = with(&[("DB_PASSWORD", value)]);
    let arguments = serde_json::json!({"command": format!("echo {value};")}).to_string();
    let expected = "{\"command\":\"echo [redacted: value of DB_PASSWORD];\"}";
    assert_eq!(redactor.redact(&arguments), expected);
    assert_eq!(redactor.redact(value), "[redacted: value of DB_PASSWORD]");
}
