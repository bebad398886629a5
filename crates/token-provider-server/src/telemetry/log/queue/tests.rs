//! A reader that does not read, a disk that is full, and how both are told from the log.

use std::io::{self, Read as _};
use std::sync::{Arc, mpsc};
use std::thread;

use super::*;

const LONG: Duration = Duration::from_secs(60);
/// Bytes in each line.
const LINE: usize = 64;

fn line(number: usize) -> Vec<u8> {
    format!("{number:0width$}\n", width = LINE - 1).into_bytes()
}

fn start(out: impl Write + Send + 'static) -> Arc<Queue> {
    let queue = Arc::new(Queue::default());
    let running = Arc::clone(&queue);
    // Ends with the process.
    thread::spawn(move || running.run(out, |lost| format!("{lost} lost\n")));
    queue
}

/// Takes so many writes; the others fail as on a full disk.
struct Disk {
    lets_through: mpsc::Receiver<bool>,
    content: mpsc::Sender<String>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.lets_through.recv().unwrap_or(true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let _ = self.content.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_keep_their_order_and_a_gap_is_where_lines_are_missing() {
    let (mut reader, writer) = io::pipe().expect("can be made");
    let queue = start(writer);
    let room = MAX_WAITING / LINE;
    // More than fit into the queue and the pipe together.
    let count = 2 * room + 10_000;
    let taken = (0..count).filter(|number| queue.push(&line(*number))).count();
    let lost = queue.lost();
    assert!(taken >= room && lost > 0 && taken + lost == count, "{taken} {lost}");
    assert!(!queue.flush(Duration::from_millis(1)), "nobody reads");

    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.contains("lost\n") {
        let length = reader.read(&mut piece).expect("is open");
        text.push_str(std::str::from_utf8(&piece[..length]).expect("is ASCII"));
    }
    let lines: Vec<&str> = text.lines().collect();
    let gap = format!("{lost} lost");
    assert_eq!(lines.last(), Some(&gap.as_str()));
    assert!(
        lines[..taken].iter().map(|line| line.parse()).eq((0..taken).map(Ok)),
        "what was taken, in order"
    );
    assert_eq!(lines.len(), taken + 1);

    assert!(queue.push(&line(count)) && queue.flush(LONG));
    let length = reader.read(&mut piece).expect("is open");
    assert_eq!(piece[..length], line(count), "the gap is told once");
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_told_before_the_next() {
    let (let_through, lets_through) = mpsc::channel();
    let (content, written) = mpsc::channel();
    let queue = start(Disk { lets_through, content });
    for number in 0..3 {
        // The gap, which is tried before the line, and the line.
        for _ in 0..=usize::from(number > 0) {
            let_through.send(false).expect("is listening");
        }
        assert!(queue.push(&line(number)) && queue.flush(LONG));
        assert_eq!(queue.lost(), number + 1);
    }
    drop(let_through);
    assert!(queue.push(b"more\n") && queue.flush(LONG));
    assert!(queue.push(b"later\n") && queue.flush(LONG));
    drop(queue);
    let written: Vec<String> = written.try_iter().collect();
    assert_eq!(written, ["3 lost\n", "more\n", "later\n"]);
}
