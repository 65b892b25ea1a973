// Package lint keeps the rules of the house: what may import what, how long things may be, where goroutines start, which
// third-party modules a package may use, and that every package says what it is.
//
// Each rule is a pure function from parsed sources to findings, so that its test can plant a violation and see it found;
// TestHouse runs all of them over the tree. The sources are read directly and not through the go command: the test cache
// sees files that a test opens, but not what a child process reads.
package lint

// order lists the packages of internal/, ground first. A package may import only packages that stand before it.
// A wing's own package (media, camera) stands where its imports put it.
var order = []string{
	"sys/budget", "sys/metrics", "sys/health", "sys/secret", "sys/dial", "sys/host",
	"media", "media/virtual", "media/codec", "media/rtp", "media/mp4",
	"store/vfs", "store/recording", "store/sampledir", "store/taillog", "store/catalog", "store/archive", "store/check",
	"store/retention", "store/salvage",
	"camera/rtsp", "camera/recorder", "camera/probe", "camera",
	"watch/view", "watch/deliver",
	"server/webui", "server/config", "server/api", "server/front", "server/nvr",
}

// beside lists what stands beside the house: tests and tools. It may import the house as its comment says, is imported
// by tests, by commands and by its own kind only.
var beside = []string{
	"crashfs",
	"camsim/picture", "camsim/onvif", "camsim",
	"store/vfs/vfstest",
	"media/mp4/mp4test",
	"judge", "lint",
}

// commands may import camsim beside the house: the demo starts simulated cameras.
var commands = map[string][]string{
	"cmd/nightjar": {"camsim"},
	"cmd/camsim":   {"camsim", "camsim/onvif", "camsim/picture"},
}

// thirdParty names, per package of ours, the modules it may import outside the standard library. Tests are free.
var thirdParty = map[string][]string{
	"store/vfs":     {"golang.org/x/sys"},
	"sys/host":      {"golang.org/x/sys", "github.com/google/uuid"},
	"sys/dial":      {"golang.org/x/sys"},
	"store/catalog": {"github.com/ncruces/go-sqlite3", "github.com/ncruces/go-sqlite3-wasm/v6"},
	"store/archive": {"golang.org/x/sync"},
	"store/check":   {"github.com/ncruces/go-sqlite3"},
	"camera/rtsp":   {"golang.org/x/sys"},
	"camera":        {"golang.org/x/sync"},
	"server/config": {"github.com/pelletier/go-toml/v2"},
	"server/front":  {"golang.org/x/sync", "golang.org/x/sys"},
	"server/nvr":    {"golang.org/x/sync"},
	"judge":         {},
}

// noGo lists the wings and packages whose code starts no goroutine.
var noGo = []string{"sys/", "media/", "media", "store/recording", "store/catalog", "store/check"}

// goBudget is how many go statements and errgroup Go calls the whole house may hold.
const goBudget = 40

// pureClock lists the packages that may neither use package os nor read the clock by themselves: all disk access goes
// through vfs, all wall-clock readings through a Now function.
var pureClock = []string{
	"store/recording", "store/sampledir", "store/taillog", "store/catalog", "store/archive", "store/check", "store/retention",
	"store/salvage",
}

const (
	maxFile         = 1000 // lines, tests and generated tables exempt
	maxFunc         = 150
	longFunc        = 70
	longFuncPercent = 3 // at most this share of functions may be longer than longFunc
)
