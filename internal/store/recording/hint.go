package recording

// Hint says what a person can do about it, as a clause without capital and full stop; "" where there is nothing to do.
func (r Reason) Hint() string {
	switch r {
	case CameraOffline:
		return "check that the camera has power and network, and the address in its URL"
	case Refused:
		return "check the port in the camera's URL, and that RTSP is switched on in the camera"
	case DNS:
		return "check the host name in the camera's URL, or write its IP address"
	case Timeout:
		return "check the network between the camera and this machine"
	case AuthFailed:
		return "check the user name and the password; some cameras have a separate account for RTSP"
	case NotFound:
		return "check the path in the camera's URL; each make has its own, and `nightjar camera test URL` tries one"
	case Unsupported:
		return "choose H.264 or H.265 video in the camera's settings"
	case NoKeySample:
		return "choose a shorter key frame interval in the camera's settings"
	case PacketLoss:
		return "choose transport tcp, or mend the network"
	case DiskFull:
		return "make room on the disk, or keep less"
	case DiskMissing:
		return "mount the disk"
	case DiskError, DiskStalled:
		return "look for the disk in the system's log"
	}
	return ""
}
