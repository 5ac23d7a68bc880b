//! The id of a trace, as metrics, logs, history and the tracing backend share it.

use std::fmt;

/// The id of a trace that is recorded: 16 bytes, shown as 32 hexadecimal digits (W3C Trace Context, section 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// From its 16 bytes, the most significant first. `None` for zero, which is no id.
    pub const fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Self::from_bits(u128::from_be_bytes(bytes))
    }

    /// From its bits. `None` for zero, which is no id.
    pub const fn from_bits(bits: u128) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// Its bits; never 0.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_digits_and_is_not_zero() {
        assert_eq!(TraceId::from_bytes([0; 16]), None);
        let mut bytes = [0; 16];
        bytes[14] = 0x0a;
        let id = TraceId::from_bytes(bytes).unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000000a00");
        assert_eq!(TraceId::from_bits(id.bits()), Some(id));
    }
}
