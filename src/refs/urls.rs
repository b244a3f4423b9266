//! URLs of a set, each kept once, in one text.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// Interned URLs; a URL is its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urls {
    text: String,
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: RandomState,
    last: Option<u32>,
}

/// Most bytes of all different URLs: a template can make gigabytes of them from one line.
const MAX_TEXT: usize = 2 << 30;
/// Numbers from here on mean something else in columns.
pub(crate) const MAX_URLS: u32 = u32::MAX - 16;

impl Urls {
    /// Number of a URL; `None` when there are too many, or too much text in them.
    pub(crate) fn intern(&mut self, url: &str) -> Option<u32> {
        if let Some(last) = self.last
            && self.get(last) == Some(url)
        {
            return Some(last);
        }
        let hash = self.hasher.hash_one(url);
        let (text, ends) = (&self.text, &self.ends);
        let found = self
            .index
            .find(hash, |number| at(text, ends, *number) == Some(url));
        if let Some(number) = found {
            self.last = Some(*number);
            return self.last;
        }
        let number = u32::try_from(self.ends.len())
            .ok()
            .filter(|number| *number < MAX_URLS && self.text.len() + url.len() <= MAX_TEXT)?;
        self.text.push_str(url);
        self.ends.push(self.text.len());
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.index.insert_unique(hash, number, |number| {
            hasher.hash_one(at(text, ends, *number).unwrap_or_default())
        });
        self.last = Some(number);
        self.last
    }

    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        at(&self.text, &self.ends, number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|number| self.get(u32::try_from(number).ok()?))
    }

    /// Bytes held in memory.
    pub(crate) fn memory(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>()
    }

    /// The same numbers with other texts.
    pub(crate) fn rewritten<E>(
        &self,
        mut rewrite: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut made = Self::default();
        for url in self.iter() {
            made.text.push_str(&rewrite(url)?);
            made.ends.push(made.text.len());
        }
        Ok(made)
    }

    /// Gives back what is needed for interning only.
    pub(crate) fn seal(&mut self) {
        self.index = HashTable::new();
        self.last = None;
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

fn at<'a>(text: &'a str, ends: &[usize], number: u32) -> Option<&'a str> {
    let number = usize::try_from(number).ok()?;
    let start = match number.checked_sub(1) {
        None => 0,
        Some(before) => *ends.get(before)?,
    };
    text.get(start..*ends.get(number)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_once() {
        let mut urls = Urls::default();
        assert_eq!(urls.intern("a"), Some(0));
        assert_eq!(urls.intern("bc"), Some(1));
        assert_eq!(urls.intern("a"), Some(0));
        assert_eq!((urls.get(1), urls.get(2)), (Some("bc"), None));
        let urls = urls
            .rewritten(|url| Ok::<_, ()>(url.to_uppercase()))
            .unwrap();
        assert_eq!(urls.iter().collect::<Vec<_>>(), ["A", "BC"]);
    }
}
