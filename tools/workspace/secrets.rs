//! Which files and folders of a working tree may hold secrets, and which are only caches of tools.

/// Folders that hold credentials, wherever they stand.
const SECRET_FOLDERS: [&[u8]; 7] = [
    b".aws", b".ssh", b".gnupg", b".kube", b".azure", b".gcloud", b".docker",
];
/// Files that hold credentials by their names alone.
const SECRET_FILES: [&[u8]; 9] = [
    b".env",
    b".envrc",
    b".netrc",
    b".git-credentials",
    b"id_rsa",
    b"id_dsa",
    b"id_ecdsa",
    b"id_ed25519",
    b".pgpass",
];
/// Endings of key stores.
const SECRET_ENDINGS: [&[u8]; 4] = [b".p12", b".pfx", b".jks", b".keystore"];
/// Variants of `.env` that are meant to be read.
const HARMLESS_ENV: [&[u8]; 5] = [
    b".env.example",
    b".env.sample",
    b".env.template",
    b".env.dist",
    b".env.defaults",
];
/// Folders that tools fill again by themselves.
const CACHE_FOLDERS: [&[u8]; 8] = [
    b"__pycache__",
    b".pytest_cache",
    b".mypy_cache",
    b".ruff_cache",
    b".hypothesis",
    b".cache",
    b".ipynb_checkpoints",
    b".gradle",
];

/// Whether a folder of this name holds credentials.
pub(crate) fn is_secret_folder(name: &[u8]) -> bool {
    SECRET_FOLDERS.contains(&name)
}

/// Whether a file holds credentials; `content` reads its beginning when the name alone does not tell.
pub(crate) fn is_secret_file(name: &[u8], content: impl FnOnce() -> Vec<u8>) -> bool {
    if SECRET_FILES.contains(&name) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    if name.starts_with(b".env.") {
        return !HARMLESS_ENV.contains(&name);
    }
    let extension = name
        .rsplit(|&byte| byte == b'.')
        .next()
        .filter(|extension| extension.len() < name.len());
    if name.starts_with(b"credentials") {
        // `credentials.py` and the like are programs.
        let data: [&[u8]; 8] = [b"json", b"yaml", b"yml", b"toml", b"ini", b"xml", b"csv", b"db"];
        return extension.is_none_or(|extension| data.contains(&extension));
    }
    let holds = |words: &[&[u8]]| {
        let content = content();
        words
            .iter()
            .any(|word| content.windows(word.len()).any(|part| part == *word))
    };
    match (name, extension) {
        (b".npmrc" | b".yarnrc.yml" | b".yarnrc", _) => {
            holds(&[b"_auth", b"_password", b"AuthToken", b"npmAuthIdent"])
        }
        (b".pypirc", _) => holds(&[b"password"]),
        (b"pip.conf", _) => holds(&[b"@"]),
        // Certificates are public and needed; private keys are neither.
        (_, Some(b"pem" | b"key")) => holds(&[b"PRIVATE KEY"]),
        _ => false,
    }
}

/// Whether a folder or file is a tool's cache.
pub(crate) fn is_cache(name: &[u8]) -> bool {
    CACHE_FOLDERS.contains(&name) || name.ends_with(b".pyc") || name == b".DS_Store"
}
