# Runs a formula's `install` and `test` without Homebrew: what they call is here, as far as they call it. The source is not
# downloaded but given.
#
#   ruby check.rb FORMULA SOURCE_ARCHIVE FOLDER
require "digest"
require "fileutils"
require "minitest/assertions"
require "open3"
require "pathname"
require "socket"

# The part of Homebrew's that formulae stand on.
class Formula
  include Minitest::Assertions

  attr_accessor :assertions
  attr_reader :prefix

  FIELDS = %i[desc homepage url sha256 license].freeze

  class << self
    attr_reader :facts, :tests, :build_dependencies

    def inherited(formula)
      super
      formula.instance_variable_set(:@facts, {})
      formula.instance_variable_set(:@build_dependencies, [])
    end

    FIELDS.each { |field| define_method(field) { |value| @facts[field] = value } }

    def depends_on(dependency)
      @build_dependencies << dependency
    end

    def service(&block)
      @facts[:service] = Service.new
      @facts[:service].instance_eval(&block)
    end

    def test(&block)
      @tests = block
    end
  end

  # What Homebrew writes a launchd or systemd unit from.
  class Service
    %i[run working_dir keep_alive error_log_path].each { |name| define_method(name) { |*| nil } }

    %i[opt_bin etc var].each { |name| define_method(name) { Pathname("/opt") / name.to_s } }
  end

  def initialize(prefix)
    @prefix = prefix
    @assertions = 0
  end

  def version = self.class.facts[:url][/token-provider-(.+)\.tar\.gz/, 1]
  def bin = prefix / "bin"
  def etc = prefix / "etc"
  def man1 = (prefix / "share/man/man1").tap(&:mkpath)
  def std_cargo_args(path:) = ["--locked", "--root=#{prefix}", "--path=#{path}"]

  def system(*command)
    Kernel.system(*command.map(&:to_s), exception: true)
  end

  def shell_output(command)
    output, status = Open3.capture2(command)
    raise "#{command}: #{status}" unless status.success?

    output
  end

  def generate_completions_from_executable(*command)
    %w[bash zsh fish].each do |shell|
      (prefix / "completions").mkpath
      (prefix / "completions" / shell).write Utils.safe_popen_read(*command, shell)
    end
  end

  def spawn(*command) = Process.spawn(*command.map(&:to_s), err: File::NULL)
  def free_port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
end

# Homebrew's.
module Utils
  def self.safe_popen_read(*command)
    output, status = Open3.capture2(*command.map(&:to_s))
    raise "#{command}: #{status}" unless status.success?

    output
  end
end

formula_path, archive, folder = ARGV.map { |path| Pathname(path).expand_path }
require formula_path.to_s
facts = TokenProvider.facts
missing = (Formula::FIELDS + [:service]) - facts.keys
raise "the formula lacks #{missing}" unless missing.empty?
raise "another archive's sum" unless facts[:sha256] == Digest::SHA256.file(archive).hexdigest
raise "another archive's name" unless facts[:url].end_with?("/#{archive.basename}")

formula = TokenProvider.new(folder / "prefix")
Kernel.system("tar", "--extract", "--file", archive.to_s, "--directory", folder.to_s, exception: true)
Dir.chdir(folder / archive.basename.to_s.delete_suffix(".tar.gz")) { formula.install }
formula.instance_eval(&TokenProvider.tests)
raise "no manual page" unless (formula.man1 / "token-provider.1").read.start_with?(".")

puts "the formula installs version #{formula.version}, and its test passes (#{formula.assertions} assertions)"
