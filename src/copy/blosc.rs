//! Blosc's chunk format by the C library itself: LZ4 behind a shuffle of bits, on the calling thread.
//!
//! Source: c-blosc 1.21, `blosc.h`: the `_ctx` functions keep no state and may run on any number of threads at once.

use std::ffi::c_void;

use blosc_src::{
    BLOSC_BITSHUFFLE, BLOSC_MAX_BUFFERSIZE, BLOSC_MAX_OVERHEAD, blosc_cbuffer_validate,
    blosc_compress_ctx, blosc_decompress_ctx,
};

/// NUL-terminated name of the inner compressor.
const LZ4: &std::ffi::CStr = c"lz4";

/// Compresses values of so many bytes each, at a level of 1 to 9.
pub(super) fn compress(values: &[u8], item_bytes: usize, level: u8) -> Result<Vec<u8>, String> {
    if values.len() > BLOSC_MAX_BUFFERSIZE as usize {
        return Err(format!(
            "a chunk of {} bytes: Blosc takes at most 2 GiB; choose smaller chunks or another codec",
            values.len()
        ));
    }
    let mut out = vec![0_u8; values.len() + BLOSC_MAX_OVERHEAD as usize];
    let shuffle = i32::try_from(BLOSC_BITSHUFFLE).unwrap_or(2);
    #[expect(
        unsafe_code,
        reason = "a C library; there is no safe binding to it alone"
    )]
    // SAFETY: both buffers are valid for the lengths given, do not overlap and outlive the call; the name ends with NUL; the library
    // writes at most `out.len()` bytes.
    let written = unsafe {
        blosc_compress_ctx(
            i32::from(level),
            shuffle,
            item_bytes,
            values.len(),
            values.as_ptr().cast::<c_void>(),
            out.as_mut_ptr().cast::<c_void>(),
            out.len(),
            LZ4.as_ptr(),
            0,
            1,
        )
    };
    match usize::try_from(written) {
        Ok(written) if written > 0 => {
            out.truncate(written);
            Ok(out)
        }
        Ok(_) | Err(_) => Err(format!("Blosc failed with {written}")),
    }
}

/// Decompresses a buffer that must hold exactly `bytes` bytes of values.
pub(crate) fn decompress(file: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
    let mut held = 0_usize;
    #[expect(
        unsafe_code,
        reason = "a C library; there is no safe binding to it alone"
    )]
    // SAFETY: the buffer is valid for its length, which the library checks the header against; `held` is valid for a write.
    let sound = unsafe {
        blosc_cbuffer_validate(file.as_ptr().cast::<c_void>(), file.len(), &raw mut held)
    };
    if sound < 0 || held != bytes {
        return Err(format!("no Blosc buffer of {bytes} bytes"));
    }
    let mut values = vec![0_u8; bytes];
    #[expect(
        unsafe_code,
        reason = "a C library; there is no safe binding to it alone"
    )]
    // SAFETY: the header was found to be sound and to hold as many bytes as `values` has room for; the library reads within the length
    // that the header tells, which is the buffer's, and checks each block.
    let written = unsafe {
        blosc_decompress_ctx(
            file.as_ptr().cast::<c_void>(),
            values.as_mut_ptr().cast::<c_void>(),
            values.len(),
            1,
        )
    };
    if usize::try_from(written) == Ok(bytes) {
        Ok(values)
    } else {
        Err(format!("the Blosc buffer is damaged ({written})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_damage_is_told() {
        let values: Vec<u8> = (0..40_000_u32)
            .flat_map(|at| (250.0 + f64::from(at % 977) * 0.01).to_le_bytes())
            .collect();
        let file = compress(&values, 8, 5).unwrap();
        assert!(file.len() < values.len() / 2);
        assert_eq!(decompress(&file, values.len()).unwrap(), values);
        assert!(decompress(&file, values.len() - 1).is_err());
        assert!(decompress(&file[..file.len() - 1], values.len()).is_err());
        assert!(decompress(&[], 8).is_err());
        for at in 0..file.len().min(400) {
            let mut broken = file.clone();
            broken[at] ^= 0x55;
            // Told, or other values of the same number.
            if let Ok(got) = decompress(&broken, values.len()) {
                assert_eq!(got.len(), values.len());
            }
        }
    }
}
