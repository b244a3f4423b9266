//! The variable of a wgrib2 line: an abbreviation of NCEP's table, or numbers.
//!
//! Abbreviations change as tables do; they are keys into the headers of a sample, never an identity.

use super::noaa::digits;

/// A variable, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableText<'a> {
    /// `TMP`
    Name(&'a str),
    /// `var discipline=0 center=7 local_table=1 parmcat=16 parm=201`
    Local {
        /// Code Table 0.0.
        discipline: u8,
        /// Common Code Table C-11.
        centre: u16,
        /// Local tables version.
        local_table: u8,
        /// Code Table 4.1.
        category: u8,
        /// Code Table 4.2.
        number: u8,
    },
    /// `var discipline=0 master_table=2 parmcat=1 parm=8`
    Wmo {
        /// Code Table 0.0.
        discipline: u8,
        /// Master tables version.
        master_table: u8,
        /// Code Table 4.1.
        category: u8,
        /// Code Table 4.2.
        number: u8,
    },
    /// `missing`: number 255.
    Missing,
}

/// Reads field 4 of a line. What is not of another form is a name.
#[must_use]
pub fn parse_variable(text: &str) -> VariableText<'_> {
    if text == "missing" || text.starts_with("missing definition") {
        return VariableText::Missing;
    }
    numbers(text).unwrap_or(VariableText::Name(text))
}

fn numbers(text: &str) -> Option<VariableText<'_>> {
    let mut words = text.strip_prefix("var ")?.split(' ');
    let mut next = || words.next()?.split_once('=');
    let byte = |(key, value): (&str, &str), wanted: &str| {
        (key == wanted)
            .then(|| digits(value))
            .flatten()
            .and_then(|number| u8::try_from(number).ok())
    };
    let discipline = byte(next()?, "discipline")?;
    let second = next()?;
    let variable = if second.0 == "center" {
        VariableText::Local {
            discipline,
            centre: u16::try_from(digits(second.1)?).ok()?,
            local_table: byte(next()?, "local_table")?,
            category: byte(next()?, "parmcat")?,
            number: byte(next()?, "parm")?,
        }
    } else {
        VariableText::Wmo {
            discipline,
            master_table: byte(second, "master_table")?,
            category: byte(next()?, "parmcat")?,
            number: byte(next()?, "parm")?,
        }
    };
    words.next().is_none().then_some(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_names_or_numbers() {
        assert_eq!(parse_variable("TMP"), VariableText::Name("TMP"));
        assert_eq!(
            parse_variable("var discipline=0 center=7 local_table=1 parmcat=16 parm=201"),
            VariableText::Local {
                discipline: 0,
                centre: 7,
                local_table: 1,
                category: 16,
                number: 201
            }
        );
        assert_eq!(
            parse_variable("var discipline=0 master_table=2 parmcat=1 parm=8"),
            VariableText::Wmo {
                discipline: 0,
                master_table: 2,
                category: 1,
                number: 8
            }
        );
        assert_eq!(
            parse_variable("missing definition [?]"),
            VariableText::Missing
        );
        let odd = "var discipline=0 parm=8";
        assert_eq!(parse_variable(odd), VariableText::Name(odd));
    }
}
