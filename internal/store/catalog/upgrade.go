package catalog

import (
	"context"
	"errors"
	"fmt"
)

// applicationID marks the database file as ours ("njar"; the field is the file header's at offset 68).
const applicationID = 0x6e6a6172

// schemaVersion is what schema.sql makes. It only goes up; every step from n to n+1 stands in steps[n-1].
//
// 1: the first.
const schemaVersion = 1

// step upgrades the schema by one version within a transaction.
type step func(tx *conn) error

// steps holds the upgrades, the one from version 1 first.
var steps = []step{}

// schemaVersion returns the version of the database, 0 if it is empty, and an error if it is not ours.
func (c *conn) schemaVersion() (int, error) {
	app, err := c.queryInt("pragma application_id")
	if err != nil {
		return 0, err
	}
	version, err := c.queryInt("pragma user_version")
	if err != nil {
		return 0, err
	}
	tables, err := c.queryInt("select count(*) from sqlite_schema")
	switch {
	case err != nil:
		return 0, err
	case app == 0 && version == 0 && tables == 0:
		return 0, nil
	case app != applicationID || version < 1:
		return 0, fmt.Errorf("%s is a database of another program (application id %#x)", FileName, app)
	}
	return int(version), nil
}

// checkVersion makes sure that the schema is the one this program speaks; in mode ReadWrite it upgrades an older one.
func (c *conn) checkVersion(ctx context.Context, mode Mode) error {
	v, err := c.schemaVersion()
	switch {
	case err != nil:
		return err
	case v == 0:
		return fmt.Errorf("%w: %s is empty, its creation was cut short; run \"nightjar init\" again", ErrNoCatalog, FileName)
	case v > schemaVersion:
		return fmt.Errorf("the catalog has schema version %d, this program knows up to %d: use the version of the program "+
			"that wrote it, or a later one", v, schemaVersion)
	case v < schemaVersion && mode == ReadOnly:
		return fmt.Errorf("the catalog has the older schema version %d: start the server once to upgrade it to %d", v, schemaVersion)
	}
	return c.upgrade(ctx, v, schemaVersion, steps)
}

// upgrade runs the steps from one version to another in a single transaction, so that a crash leaves either.
func (c *conn) upgrade(ctx context.Context, from, to int, steps []step) error {
	if from == to {
		return nil
	}
	if len(steps) != to-1 {
		return errors.New("upgrade steps are missing")
	}
	return c.transaction(ctx, func() error {
		for v := from; v < to; v++ {
			if err := steps[v-1](c); err != nil {
				return fmt.Errorf("upgrade schema from version %d to %d: %w", v, v+1, err)
			}
		}
		return c.db.Exec(fmt.Sprintf("pragma user_version=%d", to))
	})
}
