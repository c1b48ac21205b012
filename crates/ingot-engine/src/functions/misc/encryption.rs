//! `aes_encrypt(bytes, key[, mode[, padding[, vector[, known]]]])`, `aes_decrypt` and `try_aes_decrypt`.
//!
//! Source: Spark, `AesEncrypt`, `ExpressionImplUtils`.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType::{Binary, Utf8};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Volatility;

use super::aes::{Key, Mode, decrypt, encrypt};
use crate::error::{Error, condition, external};
use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{bytes, bytes_at, text_at};

pub(super) fn functions() -> [Function; 3] {
    [
        Function::pure(
            "aes_encrypt",
            |types| {
                up_to(
                    "aes_encrypt",
                    types,
                    2,
                    &[Binary, Binary, Utf8, Utf8, Binary, Binary],
                )
            },
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, encrypted),
        )
        .changing(Volatility::Volatile),
        Function::pure(
            "aes_decrypt",
            |types| up_to("aes_decrypt", types, 2, &[Binary, Binary, Utf8, Utf8, Binary]),
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, |arrays| decrypted(arrays, Failure::Error)),
        ),
        Function::pure(
            "try_aes_decrypt",
            |types| up_to("try_aes_decrypt", types, 2, &[Binary, Binary, Utf8, Utf8, Binary]),
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, |arrays| decrypted(arrays, Failure::Null)),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Null,
}

/// The mode and the key of a row.
fn mode_and_key(arrays: &[ArrayRef], row: usize) -> Result<(Mode, Key)> {
    let text = |place: usize, otherwise: &'static str| match arrays.get(place) {
        Some(_) => Ok(text_at(arrays, place)?.value(row)),
        None => Ok::<&str, DataFusionError>(otherwise),
    };
    let (mode, padding) = (text(2, "GCM")?.to_uppercase(), text(3, "DEFAULT")?.to_uppercase());
    let mode = match (mode.as_str(), padding.as_str()) {
        ("GCM", "NONE" | "DEFAULT") => Mode::Gcm,
        ("CBC", "PKCS" | "DEFAULT") => Mode::Cbc,
        ("ECB", "PKCS" | "DEFAULT") => Mode::Ecb,
        _ => {
            return Err(external(Error::Condition {
                kind: ingot_common::Kind::Unsupported,
                condition: "UNSUPPORTED_FEATURE.AES_MODE",
                sqlstate: "0A000",
                message: format!("AES is not there in the mode {mode} with the padding {padding}"),
            }));
        }
    };
    let key = bytes_at(arrays, 1)?.value(row);
    let Some(made) = Key::new(key) else {
        let message = format!("a key of AES has 16, 24 or 32 bytes, not {}", key.len());
        return Err(condition(
            "INVALID_PARAMETER_VALUE.AES_KEY_LENGTH",
            "22023",
            message,
        ));
    };
    Ok((mode, made))
}

fn encrypted(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = bytes_at(arrays, 0)?;
    let given = |place: usize, row: usize| match arrays.get(place) {
        Some(array) if array.is_valid(row) => Ok(bytes_at(arrays, place)?.value(row)),
        _ => Ok::<&[u8], DataFusionError>(&[]),
    };
    bytes(arrays, |row, out| {
        let (mode, key) = mode_and_key(arrays, row)?;
        let vector = match given(4, row)? {
            [] => random(mode.vector_length()),
            vector if vector.len() == mode.vector_length() => vector.to_vec(),
            vector => {
                let message = format!(
                    "an initialisation vector has {} bytes in this mode, not {}",
                    mode.vector_length(),
                    vector.len()
                );
                return Err(condition(
                    "INVALID_PARAMETER_VALUE.AES_IV_LENGTH",
                    "22023",
                    message,
                ));
            }
        };
        match encrypt(mode, key, &vector, given(5, row)?, values.value(row)) {
            Some(encrypted) => out.extend(encrypted),
            None => return Err(failed()),
        }
        Ok(true)
    })
}

fn decrypted(arrays: &[ArrayRef], failure: Failure) -> Result<ArrayRef> {
    let values = bytes_at(arrays, 0)?;
    bytes(arrays, |row, out| {
        let decrypted = mode_and_key(arrays, row).and_then(|(mode, key)| {
            let known = match arrays.get(4) {
                Some(_) => bytes_at(arrays, 4)?.value(row),
                None => &[],
            };
            decrypt(mode, key, known, values.value(row)).ok_or_else(failed)
        });
        match (decrypted, failure) {
            (Ok(plain), _) => {
                out.extend(plain);
                Ok(true)
            }
            (Err(_), Failure::Null) => Ok(false),
            (Err(error), Failure::Error) => Err(error),
        }
    })
}

fn failed() -> DataFusionError {
    let message = "AES cannot read what it was given with this key".to_owned();
    condition("INVALID_PARAMETER_VALUE.AES_CRYPTO_ERROR", "22023", message)
}

fn random(length: usize) -> Vec<u8> {
    let numbers = std::iter::repeat_with(|| ingot_common::clock::random_below(256));
    let bytes = numbers.map(|number| u8::try_from(number).unwrap_or(0));
    bytes.take(length).collect()
}
