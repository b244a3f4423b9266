//! Learning what a kind of message is, from the headers of one of its messages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::hop::fields_of_message;
use crate::grib::decode::supported;
use crate::grib::grid::Grid;
use crate::grib::head::{Head, HeadOutcome};
use crate::grib::identity::Product;
use crate::location::{ByteRange, Location};
use crate::storage::{Short, Storage};

/// Bytes of a message's first read. Headers of NOAA take 250, of ECMWF 400; a longer one costs a second read.
const FIRST_READ: u64 = 512;

/// What the headers of a message say about one of its fields.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    pub(super) product: Product,
    pub(super) section3: Arc<[u8]>,
    /// Why it could not be shown (grid or packing), if so.
    pub(super) unsupported: Option<Arc<str>>,
    /// The file and the byte at which its message was read.
    pub(super) location: Location,
    pub(super) offset: u64,
    /// Total length of its message, from section 0.
    pub(super) message_length: u64,
}

/// Why headers could not be read; a sentence for the account.
pub(super) type LearnError = Arc<str>;

type Flight = Shared<BoxFuture<'static, Result<Arc<Learned>, LearnError>>>;

/// Which message a header is read from.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) location: Location,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    pub(super) field: u16,
}

/// Learns each kind once per product, however many files ask.
#[derive(Debug, Default)]
pub(super) struct Learner {
    /// Product, then words.
    flights: Mutex<HashMap<String, HashMap<String, Flight>>>,
}

impl Learner {
    /// Forgets what a file taught whose index turned out to be wrong: its samples may be of other kinds than its words say.
    pub(super) fn forget(&self, location: &Location) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        for kinds in flights.values_mut() {
            kinds.retain(|_, flight| {
                !matches!(flight.peek(), Some(Ok(learned)) if learned.location == *location)
            });
        }
    }

    /// What is known already of these kinds of a product, parallel to them.
    pub(super) fn known(
        &self,
        product: &str,
        kinds: &[Option<Cow<'_, str>>],
    ) -> Vec<Option<Arc<Learned>>> {
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_product) = flights.get(product) else {
            return vec![None; kinds.len()];
        };
        let known = |words: &Option<Cow<'_, str>>| {
            let flight = of_product.get(words.as_deref()?)?;
            flight.peek()?.as_ref().ok().map(Arc::clone)
        };
        kinds.iter().map(known).collect()
    }

    /// What the kind `words` of a product is; read from `sample` unless some other file's sample told. A sample that fails is
    /// not remembered: the next file that asks brings its own.
    pub(super) async fn kind(
        &self,
        product: &str,
        words: &str,
        sample: &Sample,
        storage: &Storage,
    ) -> Result<Arc<Learned>, LearnError> {
        let flight = self.flight(product, words, || {
            let (sample, storage) = (sample.clone(), storage.clone());
            async move { learn(&sample, &storage).await.map(Arc::new) }
                .boxed()
                .shared()
        });
        let outcome = flight.await;
        if outcome.is_err() {
            // In a box: a future that is seldom needed must not make this one large.
            let own = learn(sample, storage).boxed().await.map(Arc::new)?;
            let settled: Flight = futures::future::ready(Ok(Arc::clone(&own)))
                .boxed()
                .shared();
            // A flight is looked at only after somebody has waited for it.
            let _ready = settled.clone().now_or_never();
            self.flights
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(product.to_owned())
                .or_default()
                .insert(words.to_owned(), settled);
            return Ok(own);
        }
        outcome
    }

    fn flight(&self, product: &str, words: &str, start: impl FnOnce() -> Flight) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = flights.get(product).and_then(|kinds| kinds.get(words)) {
            return known.clone();
        }
        let flight = start();
        flights
            .entry(product.to_owned())
            .or_default()
            .insert(words.to_owned(), flight.clone());
        flight
    }
}

/// Reads the headers of one message.
pub(super) async fn learn(sample: &Sample, storage: &Storage) -> Result<Learned, LearnError> {
    if sample.field > 0 {
        let fields = fields_of_message(sample, storage).await?;
        return fields
            .into_iter()
            .find(|field| field.field == sample.field)
            .ok_or_else(|| {
                sentence(format!(
                    "{}: the message at byte {} has no field {}",
                    sample.location,
                    sample.offset,
                    sample.field + 1
                ))
            })?
            .learned;
    }
    let mut wanted = sample
        .length
        .map_or(FIRST_READ, |length| length.min(FIRST_READ));
    loop {
        let range = ByteRange::new(sample.offset, wanted);
        let fetched = storage
            .get(&sample.location, range, Short::Allow)
            .await
            .map_err(|error| sentence(error.to_string()))?;
        let refused = |reason: String| sentence(format!("{}, {range}: {reason}", sample.location));
        match Head::parse(&fetched.bytes).map_err(|error| refused(error.to_string()))? {
            HeadOutcome::Found(head) => {
                let product =
                    Product::parse(head.indicator.discipline, head.section1, head.section4);
                return Ok(Learned {
                    product: product.map_err(|error| refused(error.to_string()))?,
                    section3: head.section3.into(),
                    unsupported: unsupported(head.section3, head.section5),
                    location: sample.location.clone(),
                    offset: sample.offset,
                    message_length: head.indicator.length,
                });
            }
            HeadOutcome::NeedMore(more) => {
                let more = more as u64;
                if (fetched.bytes.len() as u64) < wanted || more <= wanted {
                    return Err(refused(
                        "the object ends inside the headers of the message".to_owned(),
                    ));
                }
                wanted = more;
            }
        }
    }
}

/// Why a field with this grid and packing cannot be shown, if it cannot.
pub(super) fn unsupported(section3: &[u8], section5: &[u8]) -> Option<Arc<str>> {
    let grid = Grid::parse(section3).err().map(|error| error.to_string());
    let reason = grid.or_else(|| supported(section5).err().map(|error| error.to_string()))?;
    Some(reason.into())
}

pub(super) fn sentence(text: impl Into<String>) -> LearnError {
    Arc::from(text.into())
}
