package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A sealed secret is
//
//	offset  size  field
//	0       1     version, 1
//	1       4     the first bytes of the SHA-256 of the key
//	5       12    nonce, random
//	17      n+16  AES-256-GCM ciphertext and tag; the additional data are bytes 0-4 and the context
//
// and the key file holds the line keyPrefix and 64 hexadecimal digits. docs/format/secret.md has the whole of it.
const (
	sealVersion = 1
	sealHeader  = 5
	nonceSize   = 12
	keySize     = 32
	keyPrefix   = "nightjar-key-1 "
)

// ErrOtherKey is returned by Key.Open for a secret that was sealed with another key.
var ErrOtherKey = errors.New("sealed with another key")

// Key seals secrets for storage. It may be used concurrently.
type Key struct {
	aead cipher.AEAD
	id   [4]byte
}

// CreateKey makes a new key file, which must not exist, readable by this user alone, and makes it durable.
func CreateKey(path string) (*Key, error) {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	_, err = io.WriteString(f, keyPrefix+hex.EncodeToString(raw)+"\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path) // a key that may not survive must not seal anything
		return nil, fmt.Errorf("write key file %s: %w", path, err)
	}
	return newKey(raw)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// OpenKey reads a key file. It refuses one that others may read or write.
func OpenKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %#o, so others may use it; make it private: chmod 600 %s", path, perm, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	digits, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(keyPrefix))
	raw := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(raw, digits); err != nil || !ok || len(raw) != keySize {
		return nil, fmt.Errorf("key file %s is damaged; restore it from a backup", path)
	}
	return newKey(raw)
}

func newKey(raw []byte) (*Key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return &Key{aead: aead, id: [4]byte(sum[:4])}, nil
}

// Seal encrypts a secret. The context, for example the id of the row that it belongs to, must be given to Open again, so
// that a sealed secret does not work in another place.
func (k *Key) Seal(s String, context string) []byte {
	out := append([]byte{sealVersion}, k.id[:]...)
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, []byte(s.Reveal()), additional(out, context))
}

func additional(sealed []byte, context string) []byte {
	return append(bytes.Clone(sealed[:sealHeader]), context...)
}

// Open decrypts what Seal made.
func (k *Key) Open(sealed []byte, context string) (String, error) {
	switch {
	case len(sealed) < sealHeader+nonceSize+k.aead.Overhead():
		return String{}, fmt.Errorf("open secret of %s: %d bytes are too few", context, len(sealed))
	case sealed[0] != sealVersion:
		return String{}, fmt.Errorf("open secret of %s: version %d is not known, this server may be too old", context, sealed[0])
	case [4]byte(sealed[1:5]) != k.id:
		return String{}, fmt.Errorf("open secret of %s: %w", context, ErrOtherKey)
	}
	nonce, body := sealed[sealHeader:sealHeader+nonceSize], sealed[sealHeader+nonceSize:]
	plain, err := k.aead.Open(nil, nonce, body, additional(sealed, context))
	if err != nil {
		return String{}, fmt.Errorf("open secret of %s: damaged, or of another context", context)
	}
	return New(string(plain)), nil
}
