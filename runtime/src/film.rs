//! `forecast.gif`: a sample's past frames, then truth, forecast and error side by side. Sole user of gif and colorous.
use colorous::Gradient;
use gif::{Encoder, Frame, Repeat};
use std::borrow::Cow;
use std::cmp::Ordering;

/// One picture: rows from the top.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// Pixels from top to bottom.
    pub rows: usize,
    /// Pixels from left to right.
    pub cols: usize,
    /// Row by row; NaN is drawn grey.
    pub values: Vec<f32>,
}

impl Image {
    /// The last row first.
    pub fn turned(&self) -> Image {
        let values = self.values.chunks_exact(self.cols).rev().flatten().copied().collect();
        Image { rows: self.rows, cols: self.cols, values }
    }
}

/// What a film shows. All images have one size.
#[derive(Clone, PartialEq, Debug)]
pub struct Film {
    /// What the model was given; may be empty.
    pub past: Vec<Image>,
    /// Whether that is what is forecast.
    pub kind: Kind,
    /// What came then; at least one image.
    pub truth: Vec<Image>,
    /// As many as `truth`.
    pub forecast: Vec<Image>,
}

/// What the past is beside the truth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The same quantity: one scale for both.
    Same,
    /// Another one, with a scale of its own.
    Other,
}

/// Panels are enlarged by whole factors to about this height.
const HEIGHT: usize = 192;
const MARGIN: usize = 10;
/// Above a panel: a title.
const TITLE: usize = 24;
/// Right of a panel: its colours, with the values at both ends.
const SCALE: usize = 46;
/// Below the panels: how far the film is.
const FOOT: usize = 16;

const WHITE: u8 = 0;
const INK: u8 = 1;
const GREY: u8 = 2;
const ACCENT: u8 = 3;
/// First colour of values, and how many there are.
const VALUES: (usize, usize) = (4, 168);
/// First colour of errors: blue too little, red too much.
const ERRORS: (usize, usize) = (172, 84);

impl Film {
    /// The bytes of the file.
    pub fn encode(&self) -> Result<Vec<u8>, gif::EncodingError> {
        let stage = Stage::new(self);
        let mut bytes = vec![];
        let mut encoder = Encoder::new(&mut bytes, stage.width as u16, stage.height as u16, &palette())?;
        encoder.set_repeat(Repeat::Infinite)?;
        let count = self.past.len() + self.truth.len();
        for i in 0..count {
            let pixels = stage.draw(self, i);
            let delay = if i + 1 == count { 150 } else { 45 };
            encoder.write_frame(&Frame {
                width: stage.width as u16,
                height: stage.height as u16,
                delay,
                buffer: Cow::Owned(pixels),
                ..Frame::default()
            })?;
        }
        drop(encoder);
        Ok(bytes)
    }
}

/// What all frames share.
struct Stage {
    zoom: usize,
    panel: (usize, usize),
    width: usize,
    height: usize,
    /// Least and largest value of what the model was given.
    past: (f32, f32),
    /// The same of the truth.
    values: (f32, f32),
    error: f32,
}

impl Stage {
    fn new(film: &Film) -> Stage {
        let image = film.truth.first().expect("a film has a frame");
        let zoom = (HEIGHT / image.rows.max(image.cols)).max(1);
        let panel = (image.cols * zoom, image.rows * zoom);
        let (past, values) = match film.kind {
            Kind::Same => {
                let both = extremes(film.past.iter().chain(&film.truth));
                (both, both)
            }
            Kind::Other => (extremes(film.past.iter()), extremes(film.truth.iter())),
        };
        let errors = film.truth.iter().zip(&film.forecast).flat_map(|(t, f)| difference(t, f));
        let error = errors.filter(|e| e.is_finite()).fold(0.0, |m: f32, e| m.max(e.abs()));
        Stage {
            zoom,
            panel,
            width: 3 * (panel.0 + MARGIN) + 2 * SCALE + MARGIN,
            height: TITLE + panel.1 + FOOT,
            past,
            values,
            error: if error > 0.0 { error } else { 1.0 },
        }
    }

    /// Colours of frame `i`.
    fn draw(&self, film: &Film, i: usize) -> Vec<u8> {
        let mut canvas = Canvas { width: self.width, pixels: vec![WHITE; self.width * self.height] };
        let lefts = [MARGIN, 2 * MARGIN + self.panel.0, 3 * MARGIN + 2 * self.panel.0 + SCALE];
        let step = i.checked_sub(film.past.len());
        let shown = if step.is_none() { self.past } else { self.values };
        let colours = |image: &Image| value_colours(image, shown);
        match step {
            None => {
                canvas.text(lefts[0], 6, &format!("PAST {}/{}", i + 1, film.past.len()), INK);
                self.image(&mut canvas, lefts[0], &colours(&film.past[i]), film.past[i].cols);
                canvas.text(lefts[1], 6, "FORECAST", GREY);
                canvas.text(lefts[2], 6, "ERROR", GREY);
                for left in &lefts[1..] {
                    canvas.frame(*left, TITLE, self.panel.0, self.panel.1, GREY);
                }
            }
            Some(step) => {
                let (truth, forecast) = (&film.truth[step], &film.forecast[step]);
                canvas.text(lefts[0], 6, &format!("TRUTH +{}", step + 1), INK);
                self.image(&mut canvas, lefts[0], &colours(truth), truth.cols);
                canvas.text(lefts[1], 6, "FORECAST", INK);
                self.image(&mut canvas, lefts[1], &colours(forecast), forecast.cols);
                canvas.text(lefts[2], 6, "ERROR", INK);
                let errors: Vec<u8> = difference(truth, forecast).map(|e| self.error_colour(e)).collect();
                self.image(&mut canvas, lefts[2], &errors, truth.cols);
            }
        }
        self.scale(&mut canvas, lefts[1] + self.panel.0 + 6, VALUES, shown.0, shown.1);
        self.scale(&mut canvas, lefts[2] + self.panel.0 + 6, ERRORS, -self.error, self.error);
        self.progress(&mut canvas, film, i);
        canvas.pixels
    }

    fn error_colour(&self, error: f32) -> u8 {
        colour(ERRORS, 0.5 + 0.5 * error / self.error)
    }

    fn image(&self, canvas: &mut Canvas, left: usize, colours: &[u8], cols: usize) {
        for (i, c) in colours.iter().enumerate() {
            canvas.fill(left + i % cols * self.zoom, TITLE + i / cols * self.zoom, self.zoom, self.zoom, *c);
        }
    }

    /// A strip of all colours, the largest value at the top.
    fn scale(&self, canvas: &mut Canvas, left: usize, colours: (usize, usize), low: f32, high: f32) {
        let height = self.panel.1;
        for y in 0..height {
            let share = 1.0 - (y as f32 + 0.5) / height as f32;
            canvas.fill(left, TITLE + y, 6, 1, colour(colours, share));
        }
        // What is nothing beside the other end is written as 0.
        let end = |x: f32| if x.abs() < 1e-3 * low.abs().max(high.abs()) { 0.0 } else { x };
        canvas.small_text(left + 9, TITLE, &short(end(high)));
        canvas.small_text(left + 9, TITLE + height - 7, &short(end(low)));
    }

    /// A bar over the whole width; the past is grey.
    fn progress(&self, canvas: &mut Canvas, film: &Film, i: usize) {
        let count = film.past.len() + film.truth.len();
        let width = self.width - 2 * MARGIN;
        let top = TITLE + self.panel.1 + 6;
        for k in 0..=i {
            let (from, to) = (width * k / count, width * (k + 1) / count);
            let c = if k < film.past.len() { GREY } else { ACCENT };
            canvas.fill(MARGIN + from, top, to - from - 1, 4, c);
        }
    }
}

struct Canvas {
    width: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, colour: u8) {
        for y in top..top + height {
            let row = y * self.width;
            self.pixels[row + left..row + left + width].fill(colour);
        }
    }

    fn frame(&mut self, left: usize, top: usize, width: usize, height: usize, colour: u8) {
        self.fill(left, top, width, 1, colour);
        self.fill(left, top + height - 1, width, 1, colour);
        self.fill(left, top, 1, height, colour);
        self.fill(left + width - 1, top, 1, height, colour);
    }

    fn text(&mut self, left: usize, top: usize, text: &str, colour: u8) {
        self.letters(left, top, text, colour, 2);
    }

    fn small_text(&mut self, left: usize, top: usize, text: &str) {
        self.letters(left, top, text, INK, 1);
    }

    /// What would leave the canvas is left out.
    fn letters(&mut self, left: usize, top: usize, text: &str, colour: u8, size: usize) {
        for (i, letter) in text.chars().enumerate() {
            let left = left + i * 6 * size;
            if left + 5 * size > self.width {
                return;
            }
            for (y, row) in glyph(letter).iter().enumerate() {
                for x in (0..5).filter(|x| row >> (4 - x) & 1 == 1) {
                    self.fill(left + x * size, top + y * size, size, size, colour);
                }
            }
        }
    }
}

fn difference(truth: &Image, forecast: &Image) -> impl Iterator<Item = f32> {
    truth.values.iter().zip(&forecast.values).map(|(t, f)| f - t)
}

/// The second is larger than the first.
fn extremes<'a>(images: impl Iterator<Item = &'a Image>) -> (f32, f32) {
    let values = images.flat_map(|i| &i.values).copied().filter(|x| x.is_finite());
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    match low.partial_cmp(&high) {
        Some(Ordering::Less) => (low, high),
        Some(Ordering::Equal) => (low, low + 1.0),
        _ => (0.0, 1.0),
    }
}

fn value_colours(image: &Image, (low, high): (f32, f32)) -> Vec<u8> {
    image.values.iter().map(|x| colour(VALUES, (x - low) / (high - low))).collect()
}

fn colour((first, count): (usize, usize), share: f32) -> u8 {
    if share.is_nan() {
        return GREY;
    }
    let i = (share * (count - 1) as f32).round().clamp(0.0, (count - 1) as f32);
    (first + i as usize) as u8
}

/// About three digits.
fn short(x: f32) -> String {
    let size = x.abs();
    if size == 0.0 {
        "0".into()
    } else if !(0.01..10_000.0).contains(&size) {
        format!("{x:.0e}").to_uppercase()
    } else if size < 1.0 {
        format!("{x:.2}")
    } else if size < 100.0 {
        format!("{x:.1}")
    } else {
        format!("{x:.0}")
    }
}

fn palette() -> Vec<u8> {
    let mut rgb = vec![[255, 255, 255], [40, 40, 46], [200, 200, 204], [213, 94, 0]];
    let ramp = |gradient: Gradient, count: usize| {
        (0..count).map(move |i| gradient.eval_rational(i, count).as_array())
    };
    rgb.extend(ramp(colorous::VIRIDIS, VALUES.1));
    rgb.extend(ramp(colorous::RED_BLUE, ERRORS.1).rev());
    rgb.concat()
}

/// Seven rows of five dots for the letters that films use; others are blank.
fn glyph(letter: char) -> [u8; 7] {
    match letter {
        '0' => [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
        '1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        '2' => [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
        '3' => [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
        '4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        '5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        '6' => [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        '7' => [0b11111, 0b00001, 0b00010, 0b00100, 0b00100, 0b01000, 0b01000],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
        'A' => [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'C' => [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
        'E' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
        'F' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000],
        'H' => [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'O' => [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        'P' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'R' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        'S' => [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110],
        'T' => [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
        'U' => [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        '+' => [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000],
        '-' => [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000],
        '.' => [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100],
        '/' => [0b00001, 0b00010, 0b00010, 0b00100, 0b01000, 0b01000, 0b10000],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(row: f32, col: f32) -> Image {
        let value = |i: usize| {
            let (r, c) = ((i / 32) as f32 - row, (i % 32) as f32 - col);
            12.0 * (-(r * r + c * c) / 30.0).exp()
        };
        Image { rows: 32, cols: 32, values: (0..1024).map(value).collect() }
    }

    #[test]
    fn a_film_can_be_decoded_and_shows_every_frame() {
        let path = |n: usize, drift: f32| {
            (0..n).map(|t| blob(8.0 + 2.0 * t as f32 + drift, 10.0 + t as f32)).collect()
        };
        let mut film =
            Film { past: path(4, 0.0), kind: Kind::Same, truth: path(4, 8.0), forecast: path(4, 6.5) };
        film.truth[0].values[0] = f32::NAN;
        let bytes = film.encode().unwrap();
        if let Some(folder) = std::env::var_os("STMC_PICTURES") {
            std::fs::write(std::path::Path::new(&folder).join("forecast.gif"), &bytes).unwrap();
        }
        let mut decoder = gif::DecodeOptions::new().read_info(&bytes[..]).unwrap();
        let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
        let mut frames = vec![];
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            assert_eq!(frame.buffer.len(), width * height);
            frames.push(frame.buffer.to_vec());
        }
        assert_eq!(frames.len(), 8);
        assert!(frames.windows(2).all(|w| w[0] != w[1]), "no frame repeats");
        // The missing pixel is grey; the one beside it, far from the cell, has the lowest colour.
        assert_eq!(frames[4][TITLE * width + MARGIN], GREY);
        assert_eq!(frames[4][TITLE * width + MARGIN + 6], VALUES.0 as u8);
    }

    #[test]
    fn an_image_without_contrast_is_no_problem() {
        let flat = Image { rows: 300, cols: 2, values: vec![3.0; 600] };
        let film = Film { past: vec![], kind: Kind::Other, truth: vec![flat.clone()], forecast: vec![flat] };
        assert!(film.encode().unwrap().starts_with(b"GIF89a"));
    }
}
