//! Writing for people: sizes, counts, lists.

/// A number of bytes as people write it: `1.4 MB`.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut divisor = 1_u64;
    let mut unit = 0;
    while bytes / divisor >= 1000 && unit + 1 < units.len() {
        divisor *= 1000;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or("B");
    if divisor == 1 {
        return format!("{bytes} {name}");
    }
    let tenths = u128::from(bytes) * 10 / u128::from(divisor);
    if tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A count with its noun: `1 file`, `3 files`.
pub(super) fn count_text(count: u64, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{} {noun}s", grouped(count))
    }
}

/// A number with its digits in groups of three: `693,600`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Characters of a line: of the terminal, of `COLUMNS`, or 100.
pub(super) fn terminal_width() -> usize {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|text| text.parse::<usize>().ok());
    let terminal = || terminal_size_of().map(|(width, _)| width);
    told.or_else(terminal).unwrap_or(100).clamp(40, 1000)
}

/// Columns and lines of the terminal, if there is one.
pub(super) fn terminal_size_of() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size()?;
    Some((usize::from(width.0), usize::from(height.0)))
}

/// Whether the user's locale has signs beyond ASCII.
pub(super) fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(bytes_text(999), "999 B");
        assert_eq!(bytes_text(1440), "1.4 kB");
        assert_eq!(bytes_text(403_000_000_000), "403 GB");
        assert_eq!(count_text(693_600, "message"), "693,600 messages");
        assert_eq!(count_text(1, "file"), "1 file");
    }
}
