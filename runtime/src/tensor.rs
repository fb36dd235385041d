//! A tensor on the host, in disk order, and the formats it is kept in. Sole user of safetensors.
use crate::error::{Result, RunError};
use crate::files;
use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use stmc_ir::DType;

/// A tensor: four-byte elements, slowest axis first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tensor {
    /// What an element is.
    pub dtype: DType,
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// As many as the shape has elements.
    pub bits: Vec<u32>,
}

impl Tensor {
    /// A tensor of floats.
    pub fn floats(shape: Vec<usize>, values: impl IntoIterator<Item = f32>) -> Tensor {
        let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
        assert_eq!(bits.len(), shape.iter().product::<usize>(), "as many values as the shape has elements");
        Tensor { dtype: DType::F32, shape, bits }
    }

    /// Its numbers; bools are 0 and 1.
    pub fn numbers(&self) -> impl Iterator<Item = f32> {
        self.bits.iter().map(|bits| match self.dtype {
            DType::F32 => f32::from_bits(*bits),
            DType::I32 => *bits as i32 as f32,
            DType::Bool => *bits as f32,
        })
    }

    /// Its elements as another type.
    pub fn bits_as(&self, dtype: DType) -> Cow<'_, [u32]> {
        if dtype == self.dtype {
            return Cow::Borrowed(&self.bits);
        }
        let convert = |x: f32| match dtype {
            DType::F32 => x.to_bits(),
            DType::I32 => x as i32 as u32,
            DType::Bool => u32::from(x != 0.0),
        };
        Cow::Owned(self.numbers().map(convert).collect())
    }

    /// The part `from .. to` along dimension `dim`.
    #[must_use]
    pub fn slice(&self, dim: usize, from: usize, to: usize) -> Tensor {
        let inner: usize = self.shape[dim + 1..].iter().product();
        let block = self.shape[dim] * inner;
        let rows = self.bits.chunks(block).flat_map(|b| b[from * inner..to * inner].iter().copied());
        let mut shape = self.shape.clone();
        shape[dim] = to - from;
        Tensor { dtype: self.dtype, bits: rows.collect(), shape }
    }

    /// With dimension `order[i]` as dimension `i`.
    #[must_use]
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let strides: Vec<usize> =
            (0..self.shape.len()).map(|d| self.shape[d + 1..].iter().product()).collect();
        let shape: Vec<usize> = order.iter().map(|d| self.shape[*d]).collect();
        let mut bits = Vec::with_capacity(self.bits.len());
        let mut index = vec![0; shape.len()];
        for _ in 0..self.bits.len() {
            bits.push(self.bits[index.iter().zip(order).map(|(i, d)| i * strides[*d]).sum::<usize>()]);
            for (i, extent) in index.iter_mut().zip(&shape).rev() {
                *i += 1;
                if *i < *extent {
                    break;
                }
                *i = 0;
            }
        }
        Tensor { dtype: self.dtype, shape, bits }
    }

    /// Parts one after the other along dimension `dim`. `None`: their other extents or types differ, or there is no part.
    pub fn concat(parts: &[Tensor], dim: usize) -> Option<Tensor> {
        let first = parts.first()?;
        let others = |t: &Tensor| [&t.shape[..dim], &t.shape[dim + 1..]].concat();
        let fits = |t: &Tensor| t.dtype == first.dtype && t.shape.len() > dim && others(t) == others(first);
        if !parts.iter().all(fits) {
            return None;
        }
        let outer: usize = first.shape[..dim].iter().product();
        let mut shape = first.shape.clone();
        shape[dim] = parts.iter().map(|t| t.shape[dim]).sum();
        let row = |t: &Tensor, i: usize| {
            let block = t.bits.len() / outer;
            t.bits[i * block..(i + 1) * block].to_vec()
        };
        let bits = (0..outer).flat_map(|i| parts.iter().flat_map(move |t| row(t, i))).collect();
        Some(Tensor { dtype: first.dtype, shape, bits })
    }
}

/// Tensors with names, in the order of the file.
pub type Named = Vec<(String, Tensor)>;

/// Reads a safetensors file: floats of any width become f32, integers i32.
pub fn read(path: &Path) -> Result<Named> {
    let bytes = std::fs::read(path).map_err(|e| RunError::file(path, e))?;
    let wrong =
        |e: &dyn std::fmt::Display| RunError::file(path, format!("not a whole safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(&e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(&e))?;
    let mut tensors = vec![];
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(|e| wrong(&e))?;
        let (dtype, bits) = decode(view.dtype(), view.data())
            .ok_or_else(|| RunError::file(path, format!("`{name}` has elements of type {}", view.dtype())))?;
        tensors.push((name, Tensor { dtype, shape: view.shape().to_vec(), bits }));
    }
    Ok(tensors)
}

/// Writes a safetensors file and waits until it is on the disk.
pub fn write(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    serialize(path, tensors, None)
}

/// The same with a note in the file's metadata. One: the format keeps several in no order.
pub fn write_noted(path: &Path, tensors: &[(String, Tensor)], (key, value): (&str, String)) -> Result<()> {
    serialize(path, tensors, Some(HashMap::from([(key.into(), value)])))
}

fn serialize(
    path: &Path,
    tensors: &[(String, Tensor)],
    notes: Option<HashMap<String, String>>,
) -> Result<()> {
    let data = tensors.iter().map(|(name, tensor)| (name, tensor));
    safetensors::serialize_to_file(data, notes, path).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(e) => RunError::file(path, e),
        other => RunError::file(path, other),
    })?;
    files::sync(path)
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::F32 => Dtype::F32,
            DType::I32 => Dtype::I32,
            DType::Bool => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.dtype {
            DType::Bool => self.bits.iter().map(|b| *b as u8).collect(),
            _ => self.bits.iter().flat_map(|b| b.to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        self.bits.len() * if self.dtype == DType::Bool { 1 } else { 4 }
    }
}

/// `None`: a type without a meaning here.
fn decode(dtype: Dtype, data: &[u8]) -> Option<(DType, Vec<u32>)> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> u32) -> Vec<u32> {
        data.chunks_exact(N).map(|c| f(c.try_into().expect("chunks have N bytes"))).collect()
    }
    let float = |x: f32| x.to_bits();
    Some(match dtype {
        Dtype::F32 => (DType::F32, each(data, u32::from_le_bytes)),
        Dtype::F64 => (DType::F32, each(data, |b| float(f64::from_le_bytes(b) as f32))),
        Dtype::BF16 => (DType::F32, each(data, |b| u32::from(u16::from_le_bytes(b)) << 16)),
        Dtype::F16 => (DType::F32, each(data, |b| float(stmc_data::half(u16::from_le_bytes(b))))),
        Dtype::I32 => (DType::I32, each(data, u32::from_le_bytes)),
        Dtype::I64 => (DType::I32, each(data, |b| i64::from_le_bytes(b) as u32)),
        Dtype::I16 => (DType::I32, each(data, |b| i32::from(i16::from_le_bytes(b)) as u32)),
        Dtype::I8 => (DType::I32, each(data, |[b]| i32::from(b as i8) as u32)),
        Dtype::U8 => (DType::I32, each(data, |[b]| u32::from(b))),
        Dtype::BOOL => (DType::Bool, each(data, |[b]| u32::from(b != 0))),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_can_be_sliced_permuted_and_joined() {
        let t = Tensor::floats(vec![2, 3], (0..6).map(|i| i as f32));
        assert_eq!(t.slice(1, 1, 3), Tensor::floats(vec![2, 2], [1.0, 2.0, 4.0, 5.0]));
        assert_eq!(t.permute(&[1, 0]), Tensor::floats(vec![3, 2], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        let parts = [t.slice(1, 0, 1), t.slice(1, 1, 3)];
        assert_eq!(Tensor::concat(&parts, 1), Some(t.clone()));
        assert_eq!(Tensor::concat(&[t.slice(0, 0, 1), t.slice(0, 1, 2)], 0), Some(t.clone()));
        assert_eq!(Tensor::concat(&[t.clone(), t.slice(1, 0, 1)], 0), None);
    }

    #[test]
    fn files_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = vec![
            ("b".to_string(), Tensor::floats(vec![2, 1], [1.5, f32::NAN])),
            ("mask".to_string(), Tensor { dtype: DType::Bool, shape: vec![3], bits: vec![1, 0, 1] }),
        ];
        write(&path, &tensors).unwrap();
        let mut read_back = read(&path).unwrap();
        read_back.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(read_back, tensors);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("x.safetensors: not a whole safetensors file"), "{message}");
    }
}
