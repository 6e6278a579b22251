package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Run implements the command, which main does: it knows all commands.
func (c *completionCmd) Run(*session) error { return nil }

// commandWords are a command's flags, and words that may follow it.
type commandWords struct {
	name, help string
	words      []string
}

func commandsOf(app *kong.Application) []commandWords {
	var all []commandWords
	for _, n := range app.Children {
		if n.Hidden {
			continue
		}
		c := commandWords{name: n.Name, help: n.Help}
		for _, f := range n.Flags {
			c.words = append(c.words, "--"+f.Name)
		}
		for _, p := range n.Positional {
			c.words = append(c.words, p.EnumSlice()...)
		}
		c.words = append(c.words, columnsOf(n.Name)...)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b commandWords) int { return strings.Compare(a.name, b.name) })
	return all
}

// completion prints a script that completes commands, their flags and their columns.
func completion(w io.Writer, app *kong.Application, shell string) {
	all := commandsOf(app)
	var general []string
	for _, f := range app.Flags {
		general = append(general, "--"+f.Name)
	}
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	switch shell {
	case "fish":
		for _, c := range all {
			fmt.Fprintf(w, "complete -c brokerctl -n __fish_use_subcommand -f -a %s -d %q\n", c.name, c.help)
			if len(c.words) > 0 {
				fmt.Fprintf(w, "complete -c brokerctl -n '__fish_seen_subcommand_from %s' -f -a %q\n", c.name, strings.Join(c.words, " "))
			}
		}
		for _, f := range general {
			fmt.Fprintf(w, "complete -c brokerctl -l %s\n", strings.TrimPrefix(f, "--"))
		}
		return
	case "zsh":
		fmt.Fprintln(w, "autoload -U +X bashcompinit && bashcompinit")
	}
	fmt.Fprintf(w, "_brokerctl() {\n  local word=${COMP_WORDS[COMP_CWORD]} w words=%q\n  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case $w in\n",
		strings.Join(append(general, names...), " "))
	for _, c := range all {
		fmt.Fprintf(w, "      %s) words=%q ;;\n", c.name, strings.Join(append(slices.Clone(c.words), general...), " "))
	}
	fmt.Fprint(w, "    esac\n  done\n  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -F _brokerctl brokerctl\n")
}
