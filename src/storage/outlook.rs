//! What storage would do with the environment as it is, told without secrets: for `gribfs doctor`.

use std::path::PathBuf;

use super::config::StorageConfig;
use super::origins::{AZURE_CREDENTIALS, GOOGLE_CREDENTIALS, INSTANCE_METADATA_DISABLED};
use super::profile;

/// Where the credentials of one kind of storage would come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `s3`, `gs` or `az`.
    pub scheme: &'static str,
    /// Whether there are some.
    pub found: bool,
    /// Where they lie, by the names of variables and files; or why there are none. Never a value.
    pub text: String,
}

/// Where credentials would come from, for each kind of storage that may want some. Reads files of the home folder.
#[must_use]
pub fn credentials(config: &StorageConfig) -> Vec<Credentials> {
    let told = |scheme, (found, text): (bool, String)| Credentials {
        scheme,
        found,
        text,
    };
    if config.anonymous {
        let off = || (false, "not looked for: --anonymous".to_owned());
        return ["s3", "gs", "az"].map(|scheme| told(scheme, off())).into();
    }
    vec![
        told("s3", s3(config)),
        told("gs", gs(config)),
        told("az", az(config)),
    ]
}

fn s3(config: &StorageConfig) -> (bool, String) {
    let environment = &config.environment;
    let named = config.profile.as_deref();
    if named.is_none() && environment.get("AWS_ACCESS_KEY_ID").is_some() {
        let whole = environment.get("AWS_SECRET_ACCESS_KEY").is_some();
        let text = if whole {
            "AWS_ACCESS_KEY_ID of the environment".to_owned()
        } else {
            "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".to_owned()
        };
        return (whole, text);
    }
    let wanted = named.or_else(|| environment.get("AWS_PROFILE"));
    let name = wanted.unwrap_or("default");
    match profile::read(environment, name, wanted.is_some()) {
        Ok(found) if found.keys.is_some() => {
            return (true, format!("profile `{name}` of the AWS configuration"));
        }
        Ok(_) if named.is_some() => return (false, format!("profile `{name}` has no keys")),
        Ok(_) => {}
        Err(wrong) => return (false, wrong),
    }
    for variable in [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ] {
        if environment.get(variable).is_some() {
            return (true, format!("{variable} of the environment"));
        }
    }
    let disabled = environment
        .get(INSTANCE_METADATA_DISABLED)
        .is_some_and(|word| word.eq_ignore_ascii_case("true"));
    let others = if disabled {
        format!("{INSTANCE_METADATA_DISABLED} keeps others closed")
    } else {
        "for others an instance's role would be asked for".to_owned()
    };
    let text = format!("none; known public buckets need none, {others}");
    (false, text)
}

fn gs(config: &StorageConfig) -> (bool, String) {
    let environment = &config.environment;
    if let Some((name, _)) = environment.among(GOOGLE_CREDENTIALS).next() {
        return (true, format!("{name} of the environment"));
    }
    if environment.get("SERVICE_ACCOUNT").is_some() {
        return (true, "SERVICE_ACCOUNT of the environment".to_owned());
    }
    let file = environment.get("HOME").map(|home| {
        PathBuf::from(home).join(".config/gcloud/application_default_credentials.json")
    });
    match file.filter(|file| file.is_file()) {
        Some(file) => (true, file.display().to_string()),
        None => (false, "none; known public buckets need none".to_owned()),
    }
}

fn az(config: &StorageConfig) -> (bool, String) {
    match config.environment.among(AZURE_CREDENTIALS).next() {
        Some((name, _)) => (true, format!("{name} of the environment")),
        None => (false, "none; known public containers need none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::config::Environment;
    use super::*;

    fn looked(variables: &[(&str, &str)]) -> Vec<Credentials> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        credentials(&StorageConfig {
            environment: Environment::from_variables(variables),
            ..StorageConfig::default()
        })
    }

    #[test]
    fn credentials_are_named_and_never_shown() {
        let found = looked(&[
            ("AWS_ACCESS_KEY_ID", "HUSH-id"),
            ("AWS_SECRET_ACCESS_KEY", "HUSH-secret"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", "HUSH-key"),
            ("AZURE_STORAGE_SAS_TOKEN", "HUSH-token"),
        ]);
        assert!(found.iter().all(|found| found.found), "{found:?}");
        assert!(!format!("{found:?}").contains("HUSH"), "{found:?}");
        let names = [
            "AWS_ACCESS_KEY_ID",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
        ];
        for (found, name) in found.iter().zip(names) {
            assert!(found.text.contains(name), "{found:?}");
        }
    }

    #[test]
    fn half_a_pair_and_a_profile_that_is_not_there_are_told() {
        let found = looked(&[("AWS_ACCESS_KEY_ID", "x")]);
        assert!(!found[0].found && found[0].text.contains("AWS_SECRET_ACCESS_KEY is not"));
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let found = looked(&[("AWS_PROFILE", "nobody"), ("HOME", home)]);
        assert!(
            !found[0].found && found[0].text.contains("nobody"),
            "{found:?}"
        );
        assert!(looked(&[("HOME", home)]).iter().all(|found| !found.found));
    }
}
