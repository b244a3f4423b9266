//! Pixels to draw on, text included.

use std::convert::Infallible;

use embedded_graphics::Drawable as _;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

/// Width of a letter of the small font.
pub(super) const LETTER: u32 = 7;

/// RGB pixels, row by row.
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: Vec<u8>,
}

/// Which way text runs from its point, which is always in the middle of its height.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Right,
    Left,
    Both,
}

impl Canvas {
    /// A white canvas.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let bytes = width as usize * height as usize * 3;
        Self {
            width,
            height,
            pixels: vec![255; bytes],
        }
    }

    /// Colours one pixel; nothing happens outside.
    pub(super) fn set(&mut self, x: u32, y: u32, colour: [u8; 3]) {
        if x >= self.width {
            return;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        if let Some(pixel) = self.pixels.get_mut(at..at + 3) {
            pixel.copy_from_slice(&colour);
        }
    }

    /// A filled rectangle.
    pub(super) fn fill(
        &mut self,
        (x, y): (u32, u32),
        (width, height): (u32, u32),
        colour: [u8; 3],
    ) {
        for row in y..y.saturating_add(height) {
            for column in x..x.saturating_add(width) {
                self.set(column, row, colour);
            }
        }
    }

    /// The border around a rectangle, one pixel wide, outside of it.
    pub(super) fn frame(&mut self, (x, y): (u32, u32), (width, height): (u32, u32)) {
        let colour = [60; 3];
        let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
        for column in left..=x + width {
            self.set(column, top, colour);
            self.set(column, y + height, colour);
        }
        for row in top..=y + height {
            self.set(left, row, colour);
            self.set(x + width, row, colour);
        }
    }

    /// Text in the small font.
    pub(super) fn text(&mut self, at: (u32, u32), text: &str, side: Side) {
        self.write(at, text, side, &FONT_7X13);
    }

    /// Text in the large, bold font.
    pub(super) fn heading(&mut self, at: (u32, u32), text: &str) {
        self.write(at, text, Side::Right, &FONT_9X15_BOLD);
    }

    fn write(&mut self, (x, y): (u32, u32), text: &str, side: Side, font: &MonoFont<'_>) {
        let alignment = match side {
            Side::Right => Alignment::Left,
            Side::Left => Alignment::Right,
            Side::Both => Alignment::Center,
        };
        let place = TextStyleBuilder::new()
            .alignment(alignment)
            .baseline(Baseline::Middle)
            .build();
        let style = MonoTextStyle::new(font, Rgb888::BLACK);
        let point = Point::new(x.cast_signed(), y.cast_signed());
        let drawn = Text::with_text_style(text, point, style, place).draw(self);
        drawn.map_or_else(|never| match never {}, |_end| ());
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(point.x), u32::try_from(point.y)) {
                self.set(x, y, [colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
