//! Buckets that are known to be open to all: read without credentials, and without looking for any.
//!
//! `s3://noaa-gfs-bdp-pds` is anonymous in us-east-1. A hunt for credentials that are not needed costs seconds where
//! there is no instance metadata, and credentials of an account that may not read the bucket turn a 200 into a 403.
//!
//! Sources: NOAA Open Data Dissemination and ECMWF open data, as listed by their hosts.

/// How an open bucket is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Public {
    /// S3: the region that holds the bucket. Elsewhere empty.
    pub(super) region: &'static str,
    /// Azure: the storage account that holds the container. Elsewhere empty.
    pub(super) account: &'static str,
}

const fn s3(region: &'static str) -> Public {
    Public {
        region,
        account: "",
    }
}

/// S3 buckets whose name does not say that they are open.
const S3: &[(&str, Public)] = &[
    ("ecmwf-forecasts", s3("eu-central-1")),
    ("hrrrzarr", s3("us-west-1")),
    ("met-office-atmospheric-model-data", s3("eu-west-2")),
    ("noaa-gefs-retrospective", s3("us-east-1")),
    ("nsf-ncar-era5", s3("us-west-2")),
];

const GS: &[&str] = &[
    "ecmwf-open-data",
    "gcp-public-data-arco-era5",
    "gfs-ensemble-forecast-system",
    "global-forecast-system",
    "high-resolution-rapid-refresh",
    "national-blend-of-models",
    "rapid-refresh",
];

/// Azure containers with the account that serves them.
const AZ: &[(&str, &str)] = &[("ecmwf", "ai4edataeuwest")];

/// How the bucket is reached, if it is known to be open. `account` is Azure's, where the URL names one.
pub(super) fn lookup(scheme: &str, bucket: &str, account: Option<&str>) -> Option<Public> {
    match scheme {
        // NOAA's buckets of public data sets end so; all of them are in us-east-1.
        "s3" if bucket.starts_with("noaa-") && bucket.ends_with("-pds") => Some(s3("us-east-1")),
        "s3" => S3
            .iter()
            .find(|(name, _)| *name == bucket)
            .map(|(_, public)| *public),
        "gs" => GS.contains(&bucket).then_some(s3("")),
        "az" | "abfs" | "abfss" => AZ
            .iter()
            .find(|(name, holder)| *name == bucket && account.is_none_or(|named| named == *holder))
            .map(|(_, account)| Public {
                region: "",
                account,
            }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_buckets_are_known() {
        assert_eq!(
            lookup("s3", "noaa-gfs-bdp-pds", None),
            Some(s3("us-east-1"))
        );
        assert_eq!(
            lookup("s3", "ecmwf-forecasts", None),
            Some(s3("eu-central-1"))
        );
        assert!(lookup("gs", "global-forecast-system", None).is_some());
        assert_eq!(
            lookup("az", "ecmwf", None).map(|public| public.account),
            Some("ai4edataeuwest")
        );
        assert_eq!(lookup("abfs", "ecmwf", Some("mine")), None);
        assert_eq!(lookup("s3", "my-data", None), None);
        assert_eq!(lookup("gs", "noaa-gfs-bdp-pds", None), None);
    }
}
