// Package corpus tells which version of a module a driver was built with.
package corpus

import (
	"fmt"
	"runtime/debug"
)

// Print writes the first line that each driver prints.
func Print(path string) {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == path {
			fmt.Println("version", module.Version[1:])
		}
	}
}

// Must ends the driver on an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}
