-- Says what a run came to as one line of JSON. Nothing else is set, so that wrk sends the same bytes each time.
done = function(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"seconds":%.6f,"p50":%.9f,"p99":%.9f,"p999":%.9f,"slowest":%.9f,"errors":%d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency:percentile(99.9) / 1e6, latency.max / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
