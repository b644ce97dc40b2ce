# SPDX-License-Identifier: GPL-2.0-only
"""The first lines of what a kernel prints of disks, swap devices and file systems.

A part of the table of `headlines`, with the same rules.
"""

from rig.guest.splat import End, SplatKind

DISK = r"(?!fd\d|sr\d)[\w!-]+"
"""Not the drives of QEMU's machine that have no medium in them."""

_K, _E = SplatKind, End
_Rows = tuple[tuple[SplatKind, End, str], ...]
DATA: _Rows = (
    (_K.DATA_LOSS, _E.LINE, r"Read-error on swap-device"),  # mm/page_io.c
    (_K.IO_ERROR, _E.LINE, r"Write-error on swap-device|Write error -?\d+ on dio swapfile"),
    (_K.DATA_LOSS, _E.LINE, r"zswap: Decompression error"),  # mm/zswap.c
    (_K.DATA_LOSS, _E.LINE, r"zram: Decompression failed!"),  # drivers/block/zram/zram_drv.c
    (_K.IO_ERROR, _E.LINE, r"zram: (?:Compression failed!|Error allocating memory for compressed)"),
    # mm/filemap.c dio_warn_stale_pagecache(), fs/iomap/direct-io.c
    (_K.DATA_LOSS, _E.LINE, r"Page cache invalidation failure on direct I/O"),
    (_K.DATA_LOSS, _E.LINE, r"Direct I/O collision with buffered writes!"),
    # fs/iomap/ioend.c
    (_K.DATA_LOSS, _E.LINE, r"[\w.-]{1,32}: writeback error on inode \d"),
    # block/blk-mq.c blk_print_req_error() with the errors of block/blk-core.c blk_errors[]. A disk
    # may answer a discard with "operation not supported"; nobody's data is in it.
    (
        *(_K.IO_ERROR, _E.LINE),
        r"(?:blk_update_request: )?(?:I/O|timeout|critical [a-z ]+|recoverable transport|protection"
        r"|reservation conflict|(?:kernel|device|zone) resource|device offline|dm internal retry"
        rf"|\w+ zones exceeded|duration limit exceeded|invalid) error, dev {DISK}, sector ",
    ),
    (
        *(_K.IO_ERROR, _E.LINE),
        r"operation not supported error, dev \S+, sector \d+ op 0x[0-2]:",
    ),
    # fs/buffer.c, block/blk-core.c
    (_K.IO_ERROR, _E.LINE, rf"Buffer I/O error on dev(?:ice)? {DISK}, logical block"),
    (_K.IO_ERROR, _E.LINE, r"\w+: requested out-of-range block \d+ for device"),
    (
        *(_K.IO_ERROR, _E.LINE),
        r"(?:[^:\n]{1,15}(?::\d[^ \n]{0,15})?: )?attempt to access beyond end of ",
    ),
    (_K.IO_ERROR, _E.LINE, r"VFS: Dirty inode writeback failed for block device"),  # block/bdev.c
    (_K.IO_ERROR, _E.LINE, rf"{DISK}: (?:ref|guard) tag error at "),  # block/t10-pi.c
    (_K.IO_ERROR, _E.LINE, r"\w+: over max (?:\w+ )?(?:size|segments) limit\."),  # block/blk-mq.c
    (_K.IO_ERROR, _E.LINE, rf"{DISK}: zone \d+: (?:Aborting plugged BIOs|Invalid mix of)"),
    (_K.IO_ERROR, _E.LINE, r"loop: (?:Write error at byte offset|[Tt]ransfer error)"),  # loop.c
    (_K.IO_ERROR, _E.LINE, r"null_blk: rq \w+ timed out"),  # drivers/block/null_blk/main.c
    # drivers/block/virtio_blk.c, drivers/virtio/virtio_ring.c BAD_RING()
    (
        *(_K.IO_ERROR, _E.LINE),
        r"virtio_blk virtio\d+: (?:\S+:id \d+ (?:out of range|is not a head)"
        r"|zone \d+: invalid |.* failure: config access)",
    ),
)
_EXT4 = (  # ext4_msg(): what is wrong with the disk, and not with a mount option
    r"(?:Remounting filesystem read-only|This should not happen!!|Delayed block allocation failed"
    r"|failed to convert unwritten|error restoring inline_data|previous I/O error to superblock"
    r"|I/O error while writing superblock|Failed to update primary superblock|journal bmap failed"
    r"|.*[Cc]hecksum for |group descriptors corrupted|corrupt root inode|corruption in group"
    r"|Inode \d+ \(|.*: inode #\d|error loading journal|.*invalid superblock checksum"
    r"|.*jbd2_start: |sb orphan head is|uh-oh! used pa|ext4_check_descriptors: |bad geometry: "
    r"|unable to read superblock|can't read |Can't read |(?:initial|last) error at time"
    r"|error count since last fsck|warning: mounting fs with errors|Magic mismatch"
    r"|invalid journal inode|journal inode is deleted|get (?:root|orphan) (?:inode|dentry) failed"
    r"|journal UUID does not match|no journal found|external journal has (?:bad|corrupt)"
    r"|couldn't read |can't get journal|Could not load journal|failed to initialize system zone"
    r"|inodes count not valid|bad block size|bad s_\w+_isize|Invalid log "
    r"|unsupported (?:inode|desc)|invalid (?:#clusters|inodes per|first ino)"
    r"|#?\w+ per group.{0,40}(?: too big|inconsistent)|groups count too large"
    r"|first meta block group too|Number of reserved GDT blocks)"
)
_EXT4_WARNING = (  # ext4_warning(): the others are about resizing, quota and full directories
    r".*(?:I/O error|data will be lost|data blocks|[Cc]orrupt|[Bb]ad |error -?\d+|dx entry|reading"
    r"|assertion failed|[Cc]annot (?:read|get)|no links|too many links|directory missing|bitmap"
    r"|validation failed|conflict with existing|does not have buffers|Non-contiguous"
    r"|err(?:or=| |=)-\d|returned -\d|> max in inode|doesn't have inline data"
    r"|Un(?:recogni|implemen)\w+ (?:inode )?hash|invalid/unsupported hash)"
)
FILE_SYSTEMS: _Rows = (
    # fs/ext4/super.c
    (_K.FILE_SYSTEM, _E.LINE, r"EXT[234]-fs (?:error|panic) \(device |EXT2-fs \(\S+\): error: "),
    (_K.FILE_SYSTEM, _E.LINE, rf"EXT4-fs \([^)\n]*\): {_EXT4}"),
    (_K.FILE_SYSTEM, _E.LINE, rf"EXT4-fs warning \(device [^)\n]*\): {_EXT4_WARNING}"),
    (  # ext4_jbd2.c, ialloc.c, extents_status.c, super.c
        *(_K.FILE_SYSTEM, _E.LINE),
        r"EXT4(?:-fs)?: (?:\w+:\d+: (?:aborting transaction|inode on nonex)|jbd2_\w+ failed)"
        r"|ES (?:insert |cache )?assertion failed|\w+: inode \d+ still in fc list",
    ),
    # fs/jbd2/*.c
    (_K.FILE_SYSTEM, _E.LINE, r"Aborting journal on device |\w+: journal block not found at"),
    (
        *(_K.FILE_SYSTEM, _E.LINE),
        r"JBD2: (?:.*(?:I/?O error|assertion failure|[Cc]hecksum|corrupt|failed)|bad block|leaked"
        r"|Detected IO errors|Spotted dirty metadata|Failed to read|error -?\d+ scanning"
        r"|recovery pass|.*too many credits|.*Waiting for Godot|no valid journal superblock"
        r"|Invalid start block|[jJ]ournal (?:file )?too short|unrecogni[sz]ed superblock"
        r"|Incorrect Journal|\S+: jh->b_transaction)"
        r"|jbd2_journal_dirty_metadata: .*bad jh for block",
    ),
    (
        *(_K.FILE_SYSTEM, _E.LINE),
        r"\w+: (?:needed \d+ blocks and only had \d+ space available|freeing b_\w+_data"
        r"|Cannot (?:read|locate) journal superblock|error: j_commit_request=)",
    ),
    (  # fs/xfs/{xfs_error,xfs_fsops,xfs_buf,xfs_log,xfs_message}.c
        *(_K.FILE_SYSTEM, _E.LINE),
        r"XFS(?: \([^)\n]*\))?: (?:Internal error|Corruption |.*(?:[Mm]etadata|[Ll]og) "
        r"(?:corruption|CRC error|I/O [Ee]rror)|.*Shutting down filesystem"
        r"|Filesystem has been shut|Assertion failed|First \d+ bytes of corrupted)",
    ),
    (_K.FILE_SYSTEM, _E.LINE, r"BTRFS(?::)? ?(?:error|critical|panic|alert|emergency)\b"),  # btrfs
    (
        *(_K.FILE_SYSTEM, _E.LINE),
        r"F2FS-fs \([^)\n]*\): .*(?:[Ii]nconsistent|[Cc]orrupt|Stopped filesystem|wrong)",
    ),
    # fs/{fat,squashfs,erofs,nilfs2,udf,isofs}
    (
        _K.FILE_SYSTEM,
        _E.LINE,
        r"(?:FAT-fs|exFAT-fs) \([^)\n]*\): error|SQUASHFS error: |UDF-fs: error",
    ),
    (
        *(_K.FILE_SYSTEM, _E.LINE),
        r"(?:erofs|NILFS error|NILFS) \((?:device )?[^)\n]*\): .*(?:fail|corrupt|bogus|error|bad )",
    ),
)
