# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_token_provider_global_optspecs
    string join \n config= credentials= profile= scope= listen= allow-origin= anonymous log-format= v/verbose q/quiet h/help V/version
end

function __fish_token_provider_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_token_provider_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_token_provider_using_subcommand
    set -l cmd (__fish_token_provider_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c token-provider -n "__fish_token_provider_needs_command" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_needs_command" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_needs_command" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_needs_command" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_needs_command" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_needs_command" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_needs_command" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_needs_command" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_needs_command" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_needs_command" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_needs_command" -s h -l help -d 'Print help'
complete -c token-provider -n "__fish_token_provider_needs_command" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "serve" -d 'Run the server'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "token" -d 'Print one access token, for scripts'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "check" -d 'Find what is wrong before the server does'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "health" -d 'Ask the running server whether it is ready, such as for a container\'s health check'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "sandbox" -d 'Run the offline HERE account alone'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "key" -d 'Manage API keys'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "completions" -d 'Print a shell completion script'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "man" -d 'Print the manual page, in troff'
complete -c token-provider -n "__fish_token_provider_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l sandbox -d 'Use an embedded offline HERE account: no credential, no network. The demo is at /'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand serve" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l format -d 'How to print it' -r -f -a "text\t'The token alone'
json\t'As in RFC 6749 §5.1'
header\t'A header line: Authorization: Bearer …'
env\t'A shell assignment: HERE_ACCESS_TOKEN=…'"
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l ttl -d 'The lifetime to ask for, in seconds (1 to 86400)' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand token" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand check" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l live -d 'Ask whether it answers at all, with a token or without'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand health" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l write-credentials -d 'Write a ready credentials.properties for it (mode 0600). Refuses to replace a file' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l fault -d 'Misbehave from the start, as PUT /sandbox/faults takes it: {"status": 503, "count": 2}. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand sandbox" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -s h -l help -d 'Print help'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -f -a "new" -d 'Make an API key for a caller, and print it this once'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and not __fish_seen_subcommand_from new help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l id -d 'The caller\'s name in logs, and its OAuth 2.0 client id' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from new" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "new" -d 'Make an API key for a caller, and print it this once'
complete -c token-provider -n "__fish_token_provider_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -s h -l help -d 'Print help'
complete -c token-provider -n "__fish_token_provider_using_subcommand completions" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l config -d 'The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l credentials -d 'The credential file, as downloaded from the HERE portal' -r -F
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l profile -d 'The profile to use by default' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l scope -d 'The scope to ask for, such as a project\'s HRN' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l listen -d 'Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l allow-origin -d 'An origin whose web pages may ask, such as https://maps.example.com. May be repeated' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l log-format -d 'How to log: text or json. Default: text on a terminal, else json' -r
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -l anonymous -d 'Let anyone ask who can reach the server: something else protects it'
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -s v -l verbose -d 'Log more (-v debug, -vv trace)'
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -s q -l quiet -d 'Log less (-q warnings only, -qq errors only)'
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -s h -l help -d 'Print help'
complete -c token-provider -n "__fish_token_provider_using_subcommand man" -s V -l version -d 'Print version'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "serve" -d 'Run the server'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "token" -d 'Print one access token, for scripts'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "check" -d 'Find what is wrong before the server does'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "health" -d 'Ask the running server whether it is ready, such as for a container\'s health check'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "sandbox" -d 'Run the offline HERE account alone'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "key" -d 'Manage API keys'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "completions" -d 'Print a shell completion script'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "man" -d 'Print the manual page, in troff'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and not __fish_seen_subcommand_from serve token check health sandbox key completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c token-provider -n "__fish_token_provider_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "new" -d 'Make an API key for a caller, and print it this once'
