// Renders the chart as `helm template` does, as far as this chart goes, for machines that have Go and no Helm:
// the same template language and function library (text/template, sprig), with Helm's own include, toYaml, required and fail.
// Usage: helm.go CHART VALUES_AS_JSON. Prints the manifests. Not for deploying: use Helm.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func main() {
	chart, values, about := os.Args[1], read(filepath.Join(os.Args[1], "values.yaml")), read(filepath.Join(os.Args[1], "Chart.yaml"))
	given := map[string]any{}
	check(json.Unmarshal([]byte(os.Args[2]), &given))
	dot := map[string]any{
		"Values":  merged(values, given),
		"Chart":   map[string]any{"AppVersion": about["appVersion"], "Name": about["name"]},
		"Release": map[string]any{"Name": "release", "Namespace": "space", "Service": "Helm"},
	}
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data any) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["toYaml"] = func(value any) string {
		var out bytes.Buffer
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		check(encoder.Encode(value))
		return strings.TrimSuffix(out.String(), "\n")
	}
	functions["required"] = func(said string, value any) (any, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", said)
		}
		return value, nil
	}
	all.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		template.Must(all.New(filepath.Base(file)).Parse(string(text)))
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".yaml") {
			var out bytes.Buffer
			check(all.ExecuteTemplate(&out, filepath.Base(file), dot))
			fmt.Printf("---\n%s\n", out.String())
		}
	}
}

func merged(below, above map[string]any) map[string]any {
	for name, value := range above {
		inner, ok := value.(map[string]any)
		outer, both := below[name].(map[string]any)
		if ok && both {
			value = merged(outer, inner)
		}
		below[name] = value
	}
	return below
}

func read(file string) map[string]any {
	text, err := os.ReadFile(file)
	check(err)
	found := map[string]any{}
	check(yaml.Unmarshal(text, &found))
	return found
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
