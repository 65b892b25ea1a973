package recording

// Reason says why a run ended, why a second is missing or why a recording was deleted. It is stored as this text.
type Reason string

// The reasons; the list is frozen.
const (
	CameraOffline   Reason = "camera-offline"   // no answer from the address at all
	Refused         Reason = "refused"          // the address answers, the port does not take connections
	CameraClosed    Reason = "camera-closed"    // the camera ended the connection or the RTSP session
	ProtocolError   Reason = "protocol-error"   // the camera said something that can't be understood
	DNS             Reason = "dns"              // the host name has no address
	Timeout         Reason = "timeout"          // the camera stopped answering or sending
	AuthFailed      Reason = "auth-failed"      // user name or password refused
	NotFound        Reason = "not-found"        // the path does not exist on the camera
	Unsupported     Reason = "unsupported"      // no track that can be recorded
	NoKeySample     Reason = "no-key-sample"    // pictures came, but none that can be decoded alone
	PacketLoss      Reason = "packet-loss"      // the network lost what is missing
	ParameterChange Reason = "parameter-change" // the coding changed in the middle of a GOP
	ClockStep       Reason = "clock-step"       // the camera's or the server's clock jumped
	DiskStalled     Reason = "disk-stalled"     // the disk took too long and the buffers ran full
	DiskFull        Reason = "disk-full"        // no space left
	DiskMissing     Reason = "disk-missing"     // the sample file directory is not there
	DiskError       Reason = "disk-error"       // the disk refused to read or write
	Shed            Reason = "shed"             // given up to keep streams of higher priority
	Schedule        Reason = "schedule"         // the schedule says not to record
	ModeOff         Reason = "mode-off"         // recording is switched off
	Privacy         Reason = "privacy"          // a person asked not to be recorded
	Removed         Reason = "removed"          // a person removed the camera, stream or recording
	SettingsChange  Reason = "settings-change"  // settings were changed and the stream started anew
	Damaged         Reason = "damaged"          // stored bytes turned out to be broken
	Retention       Reason = "retention"        // deleted to keep the retention limits
	ServerStopped   Reason = "server-stopped"   // orderly stop of the server
	ServerKilled    Reason = "server-killed"    // the server ended without warning; the machine went on
	PowerCut        Reason = "power-cut"        // the machine went down without warning
	Upgrade         Reason = "upgrade"          // the server was replaced by a newer version
	Unknown         Reason = "unknown"          // none of these; a bug if it is ever stored
)

// Reasons lists every reason in the order of the design document.
func Reasons() []Reason {
	return []Reason{
		CameraOffline, Refused, CameraClosed, ProtocolError, DNS, Timeout, AuthFailed, NotFound, Unsupported, NoKeySample,
		PacketLoss, ParameterChange, ClockStep, DiskStalled, DiskFull, DiskMissing, DiskError, Shed, Schedule, ModeOff,
		Privacy, Removed, SettingsChange, Damaged, Retention, ServerStopped, ServerKilled, PowerCut, Upgrade, Unknown,
	}
}

// Valid reports whether r is one of the list.
func (r Reason) Valid() bool {
	for _, known := range Reasons() {
		if r == known {
			return true
		}
	}
	return false
}

// Error is a failure with its reason: what a source's Run returns and the gap ledger stores.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
