package config

import (
	"reflect"
	"strings"
)

// settingName returns the key of a struct's field: its yaml tag, or its name in lower case. Fields that are not
// exported or tagged "-" are no settings.
func settingName(f reflect.StructField) (string, bool) {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if !f.IsExported() || name == "-" {
		return "", false
	}
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, true
}

// fieldOf finds the setting of a name in the first struct that has it.
func fieldOf(name string, targets ...reflect.Value) (reflect.Value, bool) {
	for _, target := range targets {
		for i := range target.NumField() {
			if own, ok := settingName(target.Type().Field(i)); ok && own == name {
				return target.Field(i), true
			}
		}
	}
	return reflect.Value{}, false
}

func fieldNames(targets ...reflect.Value) (all []string) {
	for _, target := range targets {
		for i := range target.NumField() {
			if name, ok := settingName(target.Type().Field(i)); ok {
				all = append(all, name)
			}
		}
	}
	return all
}
