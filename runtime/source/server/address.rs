//! Where a server is, and the key that it wants.

use std::fmt;

use crate::source::ModelError;

/// The address of an OpenAI-compatible interface: everything before `/chat/completions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    base: String,
}

impl Address {
    /// Takes `http://host:port`, the same with `/v1` or another path, and full addresses of a route.
    pub(super) fn parse(text: &str) -> Result<Address, ModelError> {
        let wrong = |why: &str| ModelError::Request(format!("`{text}` is not a server's address: {why}"));
        let text = text.trim().trim_end_matches('/');
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it begins with http:// or https://"))?;
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return Err(wrong("it begins with http:// or https://"));
        }
        if rest.contains(['?', '#']) || rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("it has only a host, a port and a path"));
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            // It would be shown in messages.
            return Err(ModelError::Request(
                "leave user and password out of the server's address; a key goes into CWM_API_KEY".to_owned(),
            ));
        }
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let path = ["chat/completions", "completions", "models"]
            .iter()
            .find_map(|route| path.strip_suffix(route))
            .unwrap_or(path)
            .trim_end_matches('/');
        let versioned = path.split('/').any(|part| {
            let mut characters = part.chars();
            characters.next() == Some('v') && characters.next().is_some_and(|c| c.is_ascii_digit())
        });
        let mut base = format!("{}://{host}", scheme.to_ascii_lowercase());
        for part in [path, if versioned { "" } else { "v1" }] {
            if !part.is_empty() {
                base.push('/');
                base.push_str(part);
            }
        }
        Ok(Address { base })
    }

    /// The address of a route such as `models`.
    pub(super) fn route(&self, route: &str) -> String {
        format!("{}/{route}", self.base)
    }

    /// Whether it is on this machine, where no proxy leads.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.base.split("://").nth(1).unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        host.starts_with("127.")
            || host.starts_with("[::1]")
            || host.split(':').next().is_some_and(|name| name == "localhost")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.base)
    }
}

/// A key for a server. Shown nowhere: not in messages, not by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key of visible ASCII characters; white space around it is dropped.
    pub fn new(text: &str) -> Result<ApiKey, ModelError> {
        let text = text.trim();
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(ModelError::Request(
                "the key holds characters that no key can have; look at the variable that it comes from"
                    .to_owned(),
            ));
        }
        Ok(ApiKey(text.to_owned()))
    }

    /// The key in `CWM_API_KEY`, else in `OPENAI_API_KEY`, as `variable` gives them; empty ones count as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<ApiKey>, ModelError> {
        ["CWM_API_KEY", "OPENAI_API_KEY"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
            .map(|value| ApiKey::new(&value))
            .transpose()
    }

    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The text without the key, should a server repeat it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "[API key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_and_without_version_and_route() {
        for (text, route) in [
            ("http://localhost:8000", "http://localhost:8000/v1/models"),
            ("http://localhost:8000/", "http://localhost:8000/v1/models"),
            ("HTTP://h/v1/", "http://h/v1/models"),
            ("https://h/v1/chat/completions", "https://h/v1/models"),
            ("https://h/v1/models", "https://h/v1/models"),
            ("https://h/api", "https://h/api/v1/models"),
            ("https://h/v1beta/openai", "https://h/v1beta/openai/models"),
            ("https://h/velvet", "https://h/velvet/v1/models"),
        ] {
            assert_eq!(Address::parse(text).unwrap().route("models"), route, "{text}");
        }
        for text in [
            "",
            "localhost:8000",
            "ftp://h",
            "http://",
            "http:///v1",
            "http://h?x",
            "http://h /",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let error = Address::parse("http://ada:secret@h").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_key_is_taken_from_the_first_variable_and_never_shown() {
        let read = |pairs: &[(&str, &str)]| {
            ApiKey::from_variables(|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(read(&[]).unwrap(), None);
        let key = read(&[("OPENAI_API_KEY", "b"), ("CWM_API_KEY", " a\n")])
            .unwrap()
            .unwrap();
        assert_eq!(
            (key.header().as_str(), format!("{key:?}").as_str()),
            ("Bearer a", "ApiKey(hidden)")
        );
        assert_eq!(
            read(&[("CWM_API_KEY", ""), ("OPENAI_API_KEY", "b")])
                .unwrap()
                .unwrap()
                .header(),
            "Bearer b"
        );
        let error = read(&[("CWM_API_KEY", "sec\nret")]).unwrap_err().to_string();
        assert!(!error.contains("sec"), "{error}");
    }
}
