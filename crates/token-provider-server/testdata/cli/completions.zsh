#compdef token-provider

autoload -U is-at-least

_token-provider() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_token-provider_commands" \
"*::: :->token-provider" \
&& ret=0
    case $state in
    (token-provider)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:token-provider-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--sandbox[Use an embedded offline HERE account\: no credential, no network. The demo is at /]' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(token)
_arguments "${_arguments_options[@]}" : \
'--format=[How to print it]:FORMAT:((text\:"The token alone"
json\:"As in RFC 6749 §5.1"
header\:"A header line\: Authorization\: Bearer …"
env\:"A shell assignment\: HERE_ACCESS_TOKEN=…"))' \
'--ttl=[The lifetime to ask for, in seconds (1 to 86400)]:SECONDS:_default' \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(health)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--live[Ask whether it answers at all, with a token or without]' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(sandbox)
_arguments "${_arguments_options[@]}" : \
'--write-credentials=[Write a ready credentials.properties for it (mode 0600). Refuses to replace a file]:FILE:_files' \
'*--fault=[Misbehave from the start, as PUT /sandbox/faults takes it\: {"status"\: 503, "count"\: 2}. May be repeated]:JSON:_default' \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(key)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_token-provider__subcmd__key_commands" \
"*::: :->key" \
&& ret=0

    case $state in
    (key)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:token-provider-key-command-$line[1]:"
        case $line[1] in
            (new)
_arguments "${_arguments_options[@]}" : \
'--id=[The caller'\''s name in logs, and its OAuth 2.0 client id]:NAME:_default' \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_token-provider__subcmd__key__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:token-provider-key-help-command-$line[1]:"
        case $line[1] in
            (new)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':shell -- The shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one]:FILE:_files' \
'--credentials=[The credential file, as downloaded from the HERE portal]:FILE:_files' \
'--profile=[The profile to use by default]:NAME:_default' \
'--scope=[The scope to ask for, such as a project'\''s HRN]:HRN:_default' \
'*--listen=[Where to listen\: localhost\:3000, 0.0.0.0\:8443, unix\:/run/token-provider.sock. May be repeated]:ADDR:_default' \
'*--allow-origin=[An origin whose web pages may ask, such as https\://maps.example.com. May be repeated]:ORIGIN:_default' \
'--log-format=[How to log\: text or json. Default\: text on a terminal, else json]:FORMAT:_default' \
'--anonymous[Let anyone ask who can reach the server\: something else protects it]' \
'*-v[Log more (-v debug, -vv trace)]' \
'*--verbose[Log more (-v debug, -vv trace)]' \
'(-v --verbose)*-q[Log less (-q warnings only, -qq errors only)]' \
'(-v --verbose)*--quiet[Log less (-q warnings only, -qq errors only)]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_token-provider__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:token-provider-help-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(token)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(health)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sandbox)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(key)
_arguments "${_arguments_options[@]}" : \
":: :_token-provider__subcmd__help__subcmd__key_commands" \
"*::: :->key" \
&& ret=0

    case $state in
    (key)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:token-provider-help-key-command-$line[1]:"
        case $line[1] in
            (new)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_token-provider_commands] )) ||
_token-provider_commands() {
    local commands; commands=(
'serve:Run the server' \
'token:Print one access token, for scripts' \
'check:Find what is wrong before the server does' \
'health:Ask the running server whether it is ready, such as for a container'\''s health check' \
'sandbox:Run the offline HERE account alone' \
'key:Manage API keys' \
'completions:Print a shell completion script' \
'man:Print the manual page, in troff' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'token-provider commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__check_commands] )) ||
_token-provider__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider check commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__completions_commands] )) ||
_token-provider__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider completions commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__health_commands] )) ||
_token-provider__subcmd__health_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider health commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help_commands] )) ||
_token-provider__subcmd__help_commands() {
    local commands; commands=(
'serve:Run the server' \
'token:Print one access token, for scripts' \
'check:Find what is wrong before the server does' \
'health:Ask the running server whether it is ready, such as for a container'\''s health check' \
'sandbox:Run the offline HERE account alone' \
'key:Manage API keys' \
'completions:Print a shell completion script' \
'man:Print the manual page, in troff' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'token-provider help commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__check_commands] )) ||
_token-provider__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help check commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__completions_commands] )) ||
_token-provider__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help completions commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__health_commands] )) ||
_token-provider__subcmd__help__subcmd__health_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help health commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__help_commands] )) ||
_token-provider__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help help commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__key_commands] )) ||
_token-provider__subcmd__help__subcmd__key_commands() {
    local commands; commands=(
'new:Make an API key for a caller, and print it this once' \
    )
    _describe -t commands 'token-provider help key commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__key__subcmd__new_commands] )) ||
_token-provider__subcmd__help__subcmd__key__subcmd__new_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help key new commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__man_commands] )) ||
_token-provider__subcmd__help__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help man commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__sandbox_commands] )) ||
_token-provider__subcmd__help__subcmd__sandbox_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help sandbox commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__serve_commands] )) ||
_token-provider__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help serve commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__help__subcmd__token_commands] )) ||
_token-provider__subcmd__help__subcmd__token_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider help token commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__key_commands] )) ||
_token-provider__subcmd__key_commands() {
    local commands; commands=(
'new:Make an API key for a caller, and print it this once' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'token-provider key commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__key__subcmd__help_commands] )) ||
_token-provider__subcmd__key__subcmd__help_commands() {
    local commands; commands=(
'new:Make an API key for a caller, and print it this once' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'token-provider key help commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__key__subcmd__help__subcmd__help_commands] )) ||
_token-provider__subcmd__key__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider key help help commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__key__subcmd__help__subcmd__new_commands] )) ||
_token-provider__subcmd__key__subcmd__help__subcmd__new_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider key help new commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__key__subcmd__new_commands] )) ||
_token-provider__subcmd__key__subcmd__new_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider key new commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__man_commands] )) ||
_token-provider__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider man commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__sandbox_commands] )) ||
_token-provider__subcmd__sandbox_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider sandbox commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__serve_commands] )) ||
_token-provider__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider serve commands' commands "$@"
}
(( $+functions[_token-provider__subcmd__token_commands] )) ||
_token-provider__subcmd__token_commands() {
    local commands; commands=()
    _describe -t commands 'token-provider token commands' commands "$@"
}

if [ "$funcstack[1]" = "_token-provider" ]; then
    _token-provider "$@"
else
    compdef _token-provider token-provider
fi
