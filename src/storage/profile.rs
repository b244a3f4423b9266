//! Profiles of the AWS configuration files: keys and region of `[name]` in `~/.aws/credentials` and `[profile name]` in
//! `~/.aws/config`.
//!
//! Keys that are written out are taken. Profiles that make their keys by other means (roles, SSO, processes) are refused by
//! name, with the way round: export the keys first.
//!
//! Source: "Configuration and credential file settings" in the AWS CLI user guide.

use std::fmt;

use super::config::Environment;

/// What a profile says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) keys: Option<Keys>,
    pub(super) region: Option<String>,
}

/// A pair of AWS keys, perhaps temporary. No debug text: they are secrets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("keys", &self.keys.is_some())
            .field("region", &self.region)
            .finish()
    }
}

/// Reads a profile. `named` tells whether the user asked for it: then it must exist and be usable, else an absent one is
/// an empty one.
///
/// # Errors
/// A text for the user: unreadable file, no such profile, or a kind of profile that is not read.
pub(super) fn read(environment: &Environment, name: &str, named: bool) -> Result<Profile, String> {
    let files = [
        (
            environment.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            name.to_owned(),
        ),
        (
            environment.aws_file("AWS_CONFIG_FILE", "config"),
            if name == "default" {
                name.to_owned()
            } else {
                format!("profile {name}")
            },
        ),
    ];
    let mut found = None;
    let mut places = Vec::new();
    for (path, section) in files {
        let Some(path) = path else { continue };
        places.push(path.display().to_string());
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                for (key, value) in section_of(&text, &section) {
                    found
                        .get_or_insert_with(Vec::new)
                        .push((key.to_owned(), value.to_owned()));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if named => return Err(format!("{}: {error}", path.display())),
            Err(_) => {}
        }
    }
    match found {
        Some(settings) => profile_of(&settings, name, named),
        None if named => Err(format!("no profile `{name}` in {}", places.join(" or "))),
        None => Ok(Profile::default()),
    }
}

/// The settings of one section of an INI file, in order.
fn section_of<'a>(text: &'a str, section: &str) -> Vec<(&'a str, &'a str)> {
    let mut inside = false;
    let mut settings = Vec::new();
    for line in text.lines() {
        // Indented lines are nested settings (`s3 =` and below); none of them is wanted here.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim();
        if let Some(head) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            inside = head.split_whitespace().eq(section.split_whitespace());
        } else if inside && let Some((key, value)) = line.split_once('=') {
            // A comment after a value begins with a blank and a `#`; a secret may hold `#` and `=`.
            let value = value.split(" #").next().unwrap_or(value);
            settings.push((key.trim(), value.trim()));
        }
    }
    settings
}

fn profile_of(settings: &[(String, String)], name: &str, named: bool) -> Result<Profile, String> {
    // The credentials file comes first and wins.
    let get = |key: &str| {
        settings
            .iter()
            .find(|(known, value)| known == key && !value.is_empty())
            .map(|(_, value)| value.clone())
    };
    let keys = match (get("aws_access_key_id"), get("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Some(Keys {
            id,
            secret,
            token: get("aws_session_token"),
        }),
        (None, None) => None,
        _ => return Err(format!("profile `{name}` has only half of a key pair")),
    };
    if keys.is_none() && named {
        let foreign = [
            "role_arn",
            "sso_session",
            "sso_start_url",
            "credential_process",
            "login_session",
        ];
        if let Some(kind) = foreign.iter().find(|key| get(key).is_some()) {
            return Err(format!(
                "profile `{name}` gets its keys by `{kind}`, which is not read here; run `aws configure \
                 export-credentials --profile {name} --format env` and set what it prints"
            ));
        }
    }
    Ok(Profile {
        keys,
        region: get("region"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=B+/=#x\n\n[other]\n\
                               aws_access_key_id=C # comment\naws_secret_access_key=D\naws_session_token=E\n[half]\naws_access_key_id=F\n";
    const CONFIG: &str = "[default]\nregion = us-west-2\n[profile  other]\nregion=eu-central-1\ns3 =\n  max = 1\n\
                          [profile sso]\nsso_session = x\n";

    fn environment() -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(home.path().join(".aws/config"), CONFIG).unwrap();
        let environment = Environment::from_variables([(
            OsString::from("HOME"),
            home.path().as_os_str().to_owned(),
        )]);
        (home, environment)
    }

    #[test]
    fn profiles_join_both_files() {
        let (_home, environment) = environment();
        let default = read(&environment, "default", false).unwrap();
        assert_eq!(default.region.as_deref(), Some("us-west-2"));
        assert_eq!(default.keys.unwrap().secret, "B+/=#x");
        let other = read(&environment, "other", true).unwrap();
        assert_eq!(other.region.as_deref(), Some("eu-central-1"));
        let keys = other.keys.unwrap();
        assert_eq!((keys.id.as_str(), keys.token.as_deref()), ("C", Some("E")));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let (_home, environment) = environment();
        assert!(
            read(&environment, "nobody", true)
                .unwrap_err()
                .contains("no profile `nobody`")
        );
        assert!(
            read(&environment, "sso", true)
                .unwrap_err()
                .contains("sso_session")
        );
        assert!(
            read(&environment, "half", true)
                .unwrap_err()
                .contains("half of a key pair")
        );
        assert_eq!(
            read(&environment, "nobody", false).unwrap(),
            Profile::default()
        );
    }
}
