package vfs

import "unsafe"

// AlignedBytes returns n zero bytes whose address is a multiple of BlockSize, as Direct files need it.
func AlignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	raw := make([]byte, n+BlockSize)
	skip := int(-uintptr(unsafe.Pointer(&raw[0])) & (BlockSize - 1))
	return raw[skip : skip+n : skip+n]
}

// Aligned reports whether a read or write of b at offset suits a Direct file: address, length and offset are multiples
// of BlockSize.
func Aligned(b []byte, offset int64) bool {
	if len(b) == 0 {
		return offset%BlockSize == 0
	}
	return uintptr(unsafe.Pointer(&b[0]))%BlockSize == 0 && len(b)%BlockSize == 0 && offset%BlockSize == 0
}
