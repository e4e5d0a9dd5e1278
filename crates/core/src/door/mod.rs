//! Who may come in: whose address it is, how often it has failed, and where it comes from. All of it without a socket.

pub mod failures;
pub mod forwarded;
pub mod network;

use network::Network;

/// What a server is configured with on who may come in, beside the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorConfig {
    /// Whether the application judges each registration, after the token and the fields. Default: no.
    pub authenticates: bool,
    /// What the field `Origin` of a worker's upgrade may be, where there is one. `None`: anything.
    pub allowed_origins: Option<Vec<String>>,
    /// The paths that are workers'. `None`: all that are no endpoint's.
    pub worker_paths: Option<Vec<String>>,
    /// The proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<Network>,
}

impl DoorConfig {
    /// Whether workers come in by this path, which is passed without its query.
    pub fn is_worker_path(&self, path: &str) -> bool {
        self.worker_paths.as_ref().is_none_or(|paths| paths.iter().any(|allowed| allowed == path))
    }

    /// Whether a worker may come from a page of this origin, or from none.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let (Some(allowed), Some(origin)) = (&self.allowed_origins, origin) else { return true };
        // What is beyond ASCII in a host's name comes as Punycode, which is ASCII.
        allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn an_origin_is_compared_whole_and_in_any_case_if_there_is_one() {
        let allowed = texts(&["https://app.example", "HTTPS://Other.example:8443"]);
        let door = DoorConfig { allowed_origins: Some(allowed), ..DoorConfig::default() };
        for (origin, expected) in [
            (None, true),
            (Some("https://app.example"), true),
            (Some("https://APP.example"), true),
            (Some("https://other.EXAMPLE:8443"), true),
            (Some("https://other.example"), false),
            (Some("https://app.example:443"), false),
            (Some("http://app.example"), false),
            (Some("https://app.example.evil"), false),
            (Some("https://app.example/"), false),
            (Some("https://evil.example, https://app.example"), false),
            (Some("null"), false),
            (Some(""), false),
        ] {
            assert_eq!(door.allows_origin(origin), expected, "{origin:?}");
        }
        assert!(DoorConfig::default().allows_origin(Some("https://evil.example")));
        let door = DoorConfig { allowed_origins: Some(texts(&["null"])), ..DoorConfig::default() };
        assert!(door.allows_origin(Some("null")));
    }

    #[test]
    fn a_path_is_compared_exactly() {
        let door = DoorConfig { worker_paths: Some(texts(&["/ws", "/Workers/"])), ..DoorConfig::default() };
        for (path, expected) in [
            ("/ws", true),
            ("/Workers/", true),
            ("/WS", false),
            ("/ws/", false),
            ("/Workers", false),
            ("/", false),
            ("/w%73", false),
        ] {
            assert_eq!(door.is_worker_path(path), expected, "{path}");
        }
        assert!(DoorConfig::default().is_worker_path("/anything"));
    }
}
