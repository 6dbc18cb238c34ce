import AVFoundation
import SwiftUI
import UIKit

/// What the camera sees; the front camera's is mirrored by the system, the frames are not.
struct CameraPreview: UIViewRepresentable {
  let feed: CameraFeed

  func makeUIView(context: Context) -> PreviewView {
    let view = PreviewView()
    view.feed = feed
    view.preview?.session = feed.session
    view.preview?.videoGravity = .resizeAspectFill
    return view
  }

  func updateUIView(_ view: PreviewView, context: Context) {}
}

final class PreviewView: UIView {
  var feed: CameraFeed?

  override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

  var preview: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }

  /// Called when the device is turned, too.
  override func layoutSubviews() {
    super.layoutSubviews()
    guard let held = window?.windowScene?.interfaceOrientation,
      let orientation = AVCaptureVideoOrientation(rawValue: held.rawValue)
    else { return }
    preview?.connection?.videoOrientation = orientation
    feed?.turn(to: orientation)
  }
}
